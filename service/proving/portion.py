"""Portions: how much must be asked so that a counter shows it, and what that costs at most. Pure."""

from collections.abc import Callable
from itertools import cycle, islice

import msgspec

from service.core.bounds import input_tokens_max
from service.core.shapes import Ask, Message
from service.core.usage import Usage
from service.core.weighing import SHARE, hidden_max

Measure = Callable[[Usage], int | None]
"""What a usage comes to, in pico-units of something; None where that is not known."""

OUTPUT_TOKENS = 16
WORDS_MAX = 60_000  # what a context of 128,000 tokens surely holds
_SLACK = (9, 8)  # a little more than needed, for a price that is rounded in our favour
# One token each to any tokenizer that splits at blanks, so that the input's size is known beforehand.
_WORDS = (
    "river",
    "stone",
    "cloud",
    "light",
    "green",
    "table",
    "water",
    "house",
    "north",
    "apple",
    "paper",
    "seven",
)
_TASK = "Ignore the words above. Answer with the one word: yes."


class Portion(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a proof.

    Attributes:
        text: the prompt; it begins with a fresh word, so nothing of it is in a provider's cache.
        shown: by how much the counter moves at least, in pico-units of the counter.
        cost: what it costs at most, in pico-units of what the cap is stated in.
    """

    text: str
    shown: int
    cost: int

    def ask(self, *, provider: str, wallet: str, model: str, thinking: bool | None) -> Ask:
        """Write it down as what a tool wants."""
        return Ask(
            messages=(Message("user", self.text),),
            provider=provider,
            wallet=wallet,
            model=model,
            max_output_tokens=OUTPUT_TOKENS,
            thinking=thinking,
        )


def target(resolution: int, calls: int, straddling: int) -> int:
    """Say by how much a counter must move at least, so that what is uncertain is a small part of it."""
    return SHARE * (hidden_max(resolution, calls) + straddling)


def portion(fresh: str, need: int, cost_max: int, *, shown: Measure, cost: Measure) -> Portion | None:
    """Choose the smallest prompt that moves the counter by `need`, or the largest that `cost_max` allows.

    Returns:
        None where not even the smallest fits, or where a measure is not known.
    """
    more, less = _SLACK
    enough = _least(lambda words: _reaches(shown(_at_least(words)), need * more // less))
    fits = _least(lambda words: not _fits(cost(_at_most(fresh, words)), cost_max)) - 1
    words = min(enough, fits, WORDS_MAX)
    if words < 1:
        return None
    shows, costs = shown(_at_least(words)), cost(_at_most(fresh, words))
    if shows is None or costs is None:
        return None
    return Portion(text=_text(fresh, words), shown=shows, cost=costs)


def _least(holds: Callable[[int], bool]) -> int:
    """Find the least number of words for which something holds that holds for all larger ones, too."""
    low, high = 1, WORDS_MAX + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _reaches(shows: int | None, need: int) -> bool:
    return shows is not None and shows >= need


def _fits(costs: int | None, cost_max: int) -> bool:
    return costs is not None and costs <= cost_max


def _text(fresh: str, words: int) -> str:
    return f"{fresh} {' '.join(islice(cycle(_WORDS), words))}\n{_TASK}"


def _at_least(words: int) -> Usage:
    return _usage(words, 1)


def _at_most(fresh: str, words: int) -> Usage:
    bytes_per_word = 6
    return _usage(input_tokens_max([f"{fresh} {_TASK}"]) + bytes_per_word * words + 1, OUTPUT_TOKENS)


def _usage(uncached: int, output: int) -> Usage:
    return Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=0,
        cache_write_tokens=0,
        output_tokens=output,
        reasoning_tokens=0,
    )
