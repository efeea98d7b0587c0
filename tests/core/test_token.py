"""Named tokens: a form that can be found, names that pass for nobody else, and a fold of what the log says."""

import re
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.entries import AnyEntry, ClientEntry, SystemEntry
from service.core.times import NS_PER_S, utc_ns
from service.core.token import (
    LIFE_DAYS_MAX,
    RANDOM_BYTES,
    NamedToken,
    TokenState,
    checked_name,
    checked_scopes,
    digest,
    expiry,
    is_token,
    token_text,
    tokens_after,
)
from service.core.words import ClientEvent

AT = "2026-11-22T16:21:00.000000Z"
LATER = "2026-11-22T17:21:00.000000Z"
NOW_NS = utc_ns(AT)
SCANNER = re.compile(r"\bexai_[0-9A-Za-z]{36}\b")
RANDOM = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def created(token: str = "a" * 64, name: str = "ci", expires_at: str | None = None, at: str = AT) -> ClientEntry:
    """Make a token in the log."""
    return ClientEntry(
        event=ClientEvent.CREATED,
        name=name,
        scopes=("call",),
        token_sha256=token,
        expires_at=expires_at,
        by="somebody",
        at=at,
    )


def revoked(token: str = "a" * 64, at: str = LATER) -> ClientEntry:
    """Revoke it."""
    return msgspec.structs.replace(created(token, at=at), event=ClientEvent.REVOKED)


@given(RANDOM)
def test_a_token_is_found_by_its_form_and_checked_by_itself(random: bytes) -> None:
    """A scanner's pattern finds it in a line of text, and its own checksum holds."""
    text = token_text(random)
    assert [text] == SCANNER.findall(f"Authorization: Bearer {text}\r\n")
    assert is_token(text)


def test_a_token_s_parts() -> None:
    """Prefix, 30 characters, and the CRC32 of both in base 62; zero bytes make the least of them."""
    text = token_text(bytes(RANDOM_BYTES))
    assert "exai_" + 30 * "0" == text[:-6]
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for char in text[-6:]:
        number = number * 62 + digits.index(char)
    assert zlib.crc32(text[:-6].encode()) == number


@given(RANDOM, st.integers(0, 40), st.sampled_from("aZ0_ é"))
def test_a_slip_of_the_pen_is_noticed(random: bytes, at: int, char: str) -> None:
    """A token with one other character is none."""
    text = token_text(random)
    changed = text[:at] + char + text[at + 1 :]
    assert is_token(changed) is (changed == text)


@pytest.mark.parametrize("text", ["", "exai_", "exai_" + "0" * 36, "exai_" + "0" * 35, "sk-" + "0" * 38])
def test_what_is_no_token(text: str) -> None:
    """Neither the form alone nor anything shorter."""
    assert not is_token(text)


def test_too_little_chance() -> None:
    """A token is never made of fewer bytes than it takes to be beyond guessing."""
    with pytest.raises(ValueError, match="takes 32 random bytes, not 31"):
        token_text(bytes(31))


def test_the_digest_is_sha_256() -> None:
    """As anybody can compute it."""
    assert digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("name", ["ci", "0", "laptop.of_anna-2", "a" * 40])
def test_a_name(name: str) -> None:
    """Names are small letters, digits and three signs."""
    assert name == checked_name(name)


@pytest.mark.parametrize("name", ["", "CI", "-a", ".", "a b", "a" * 41, "é", "a\n", "default", "local"])
def test_no_name(name: str) -> None:
    """No other text is one, and nobody may be called as those without a named token are."""
    with pytest.raises(ValueError, match="name"):
        checked_name(name)


def test_scopes() -> None:
    """They stand in one order, each once; an unknown one and none at all are refused by name."""
    assert ("call", "read") == checked_scopes(["read", "call", "read"])
    with pytest.raises(ValueError, match="'write' is no scope; the scopes are call, read, admin"):
        checked_scopes(["call", "write"])
    with pytest.raises(ValueError, match="needs a scope"):
        checked_scopes([])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("45m", "2026-11-22T17:06:00.000000Z"),
        ("12h", "2026-11-23T04:21:00.000000Z"),
        ("30d", "2026-12-22T16:21:00.000000Z"),
        ("2027-01-01T00:00:00+02:00", "2026-12-31T22:00:00.000000Z"),
    ],
)
def test_when_it_expires(text: str, expected: str) -> None:
    """A length counts from now; a time is turned into UTC."""
    assert expected == expiry(text, NOW_NS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("never", "'never' is no time: write 30d"),
        ("0d", "is no time"),
        ("2027-01-01T00:00:00", "is no time"),
        (AT, "is past"),
        (f"{LIFE_DAYS_MAX + 1}d", "within 3650 days"),
    ],
)
def test_when_it_cannot(text: str, why: str) -> None:
    """What is no time, past, or too far ahead is refused in a sentence."""
    with pytest.raises(ValueError, match=why):
        expiry(text, NOW_NS)


def test_what_the_log_says_of_tokens() -> None:
    """Made, then revoked; the first revocation counts, and one of a token that nobody made does not."""
    others: list[AnyEntry] = [SystemEntry(event="start", detail={}), revoked("b" * 64)]
    tokens = tokens_after([*others, created(), revoked(), revoked(at="2027-01-01T00:00:00.000000Z")])
    wanted = NamedToken(
        name="ci",
        scopes=("call",),
        token_sha256="a" * 64,
        created_at=AT,
        expires_at=None,
        revoked_at=LATER,
        by="somebody",
    )
    assert {"a" * 64: wanted} == tokens
    assert "a" * 8 == wanted.fingerprint


def test_a_fold_goes_on_and_may_hear_things_twice() -> None:
    """Entries that come again change nothing; a name may have one token after another."""
    first = tokens_after([created(), revoked()])
    again = tokens_after([created(), created("c" * 64, at=LATER)], first)
    assert ["a" * 64, "c" * 64] == list(again)
    assert [LATER, None] == [token.revoked_at for token in again.values()]
    assert ["a" * 64] == list(first)


def test_what_a_token_is_worth() -> None:
    """It counts until it expires, to the moment; what is revoked is that first of all."""
    (never,) = tokens_after([created()]).values()
    (ends,) = tokens_after([created(expires_at=LATER)]).values()
    (gone,) = tokens_after([created(expires_at=LATER), revoked()]).values()
    ends_ns = utc_ns(LATER)
    assert [TokenState.ACTIVE] * 2 == [never.state(NOW_NS + 10**18), ends.state(ends_ns - 1)]
    assert TokenState.EXPIRED is ends.state(ends_ns)
    assert [TokenState.REVOKED] * 2 == [gone.state(NOW_NS), gone.state(ends_ns + NS_PER_S)]
