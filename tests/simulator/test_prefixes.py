"""The implicit cache knows beginnings, not requests."""

import json

from service.simulator.asked import Asked, read_asked
from service.simulator.prefixes import LIFETIME_NS, PrefixCache
from service.simulator.text import Template

TEMPLATE = Template(prompt=10, completion=2)


def ask(*texts: str, model: str = "m") -> Asked:
    """Make a conversation of user messages."""
    messages = [{"role": "user", "content": text} for text in texts]
    return read_asked(json.dumps({"model": model, "messages": messages}).encode())


def test_the_second_identical_request_is_cached_whole() -> None:
    """All its tokens are known."""
    cache = PrefixCache()
    asked = ask("x" * 400)

    assert [cache.hit(asked, TEMPLATE, 0) for _ in range(2)] == [0, 110]


def test_a_longer_conversation_hits_its_beginning() -> None:
    """What was sent before is cached, what is new is not; another model knows nothing of it."""
    cache = PrefixCache()
    cache.hit(ask("x" * 400), TEMPLATE, 0)

    assert cache.hit(ask("x" * 400, "and now?"), TEMPLATE, 0) == 110
    assert cache.hit(ask("x" * 400, model="other"), TEMPLATE, 0) == 0


def test_short_beginnings_are_never_cached() -> None:
    """Below 64 tokens nothing is kept for anyone."""
    cache = PrefixCache()

    assert [cache.hit(ask("short"), TEMPLATE, 0) for _ in range(2)] == [0, 0]


def test_the_cache_forgets_after_five_minutes() -> None:
    """A beginning lives 300 seconds after its last use."""
    cache = PrefixCache()
    cache.hit(ask("x" * 400), TEMPLATE, 0)

    assert cache.hit(ask("x" * 400), TEMPLATE, LIFETIME_NS) == 110
    assert cache.hit(ask("x" * 400), TEMPLATE, 2 * LIFETIME_NS + 1) == 0
