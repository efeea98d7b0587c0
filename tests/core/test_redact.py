"""A stranger's text is shown without its secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.canonical import canonical
from service.core.redact import MASK, TEXT_CHARS_MAX, redacted

# What a key is made of. A space is in it because flattening line ends makes spaces.
SECRETS = st.text("ABXYab01.-_ ", min_size=8, max_size=14).filter(lambda text: text == text.strip())


@given(st.lists(SECRETS, min_size=1, max_size=3), st.data())
def test_no_configured_secret_survives(secrets: list[str], data: st.DataObject) -> None:
    """However keys are repeated, joined, overlapped or broken by control characters, none is shown whole."""
    pieces = st.sampled_from(secrets) | st.sampled_from([text.replace(" ", "\n") for text in secrets])
    parts = data.draw(st.lists(pieces | st.text("ab \n\u200b", max_size=4), max_size=8))
    chars_max = data.draw(st.sampled_from([TEXT_CHARS_MAX, 40, 12]))
    shown = redacted("".join(parts), secrets, chars_max=chars_max)
    assert [secret for secret in secrets if secret in shown] == []


def test_the_longer_of_two_secrets_is_masked_whole() -> None:
    """A key that begins with another key leaves no tail, in whatever order they are configured."""
    for secrets in (["abcdefgh", "abcdefghTAIL"], ["abcdefghTAIL", "abcdefgh"]):
        assert f"key {MASK}." == redacted("key abcdefghTAIL.", secrets)


def test_a_short_needle_is_not_masked() -> None:
    """A configured value of a few characters would blank ordinary words."""
    assert redacted("it is the test", ["it", "the"]) == "it is the test"


@pytest.mark.parametrize(
    "secret",
    [
        "0123456789abcdef0123456789abcdef.AbCdEfGh12345678",
        "sk-abcdefghijklmnopqrstuvwx",
        "sk-kimi-abcdefghijklmno",
        "sk-cp-abcdefghij",
        "ak-f0123456789abcdefghi",
        "sim-alice-1",
        "exai_0123456789abcdefghijABCDEFGHIJ012345",
        "org-0123456789abcdef0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJhcGlfa2V5IjoiYSJ9.c2lnbmF0dXJl",
        "eyJhbGciOiJIUzI1NiJ9",
        "Bearer something-odd",
        "bearer\tanything",
    ],
)
def test_known_forms_are_masked(secret: str) -> None:
    """Keys, organisation ids and tokens are known by their form, configured or not."""
    assert f"Your key {MASK} is suspended" == redacted(f"Your key {secret} is suspended")


def test_a_token_of_ours_is_masked_whatever_it_is_stuck_to() -> None:
    """The last check refuses an entry that holds one, so the first must leave none."""
    assert f"x{MASK}Z" == redacted("xexai_0123456789abcdefghijABCDEFGHIJ012345Z")


def test_a_colour_code_hides_no_key() -> None:
    """The letter that ends a terminal's code is no part of a word."""
    assert f"a {MASK} b" == redacted("a\x1b[1;31msk-abcdefghijklmnop\x1b[0mb")


@pytest.mark.parametrize("text", ["risk-assessment", "ask-me", "task-1234567", "the bearer", "organisation"])
def test_ordinary_words_stay(text: str) -> None:
    """A word that only resembles a key is left alone."""
    assert text == redacted(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r\nb\tc", "a b c"),
        ("  a\x00\x1b[31m  ", "a"),
        ("left\u202eright", "left right"),
        ("half \ud800 pair", "half   pair"),
        ("zero\u200bwidth\ufeff", "zero width"),
        ("naïve ✓ 漢字", "naïve ✓ 漢字"),
    ],
)
def test_control_characters_become_spaces(text: str, shown: str) -> None:
    """Nothing can break a line, colour a terminal, turn the reading direction or break an entry."""
    assert shown == redacted(text)


@given(st.text(max_size=700))
def test_any_text_becomes_bounded_and_writable(text: str) -> None:
    """The result fits its bound, can be an entry's text, and is not changed by a second pass."""
    shown = redacted(text)
    assert len(shown) <= TEXT_CHARS_MAX
    canonical(shown)
    assert shown == redacted(shown)


def test_a_text_is_cut_visibly_and_after_masking() -> None:
    """A cut ends in an ellipsis, and a key across the cut does not leave its head."""
    assert redacted("a" * 10, chars_max=10) == "a" * 10
    assert redacted("a" * 11, chars_max=10) == "a" * 9 + "…"
    assert redacted("aaaa sk-abcdefghijkl", chars_max=12) == "aaaa [redac…"
