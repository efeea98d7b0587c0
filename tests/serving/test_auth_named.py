"""Named tokens at the door: what the log says of them counts, from the moment it is said."""

import contextlib
import hmac
from threading import Thread

import msgspec
import pytest

from service.core.entries import SystemEntry
from service.errors import UnauthorizedError
from service.serving.auth import DEFAULT, LOCAL, Caller, Tokens
from tests.naming import AT, NOW_NS, Day, created, revoked, steps, text_of, tokens

RIGHT = "right-token-0123456789"
ENDS = "2026-11-22T17:00:00.000000Z"
ENDS_NS = NOW_NS + 39 * 60 * 10**9


def refused(known: Tokens, token: str | None) -> tuple[str, str]:
    """See a token refused; give the words."""
    with pytest.raises(UnauthorizedError) as caught:
        known.caller(token)
    return caught.value.message, caught.value.remedy


def test_who_brings_a_named_token() -> None:
    """Its name and scopes make the caller; only with `read` it sees what others did."""
    known = tokens(created(1, "ci", "call"), created(2, "boss", "call", "read", "admin"), token=RIGHT)
    ci, boss = known.caller(text_of(1)), known.caller(text_of(2))
    assert ("ci", frozenset({"call"}), False) == (ci.name, ci.scopes, ci.sees_all)
    assert ("boss", frozenset({"call", "read", "admin"}), True) == (boss.name, boss.scopes, boss.sees_all)
    assert DEFAULT is known.caller(RIGHT)
    assert [None] * 4 == [known.lapse(caller) for caller in (ci, boss, DEFAULT, LOCAL)]


def test_without_a_configured_token() -> None:
    """Everyone is the local owner, but whoever shows what is written as a named token must be its owner."""
    known = tokens(created(1, "ci", "call"))
    assert not known.is_required
    assert [LOCAL] * 3 == [known.caller(token) for token in (None, "anything", "EXAI_x")]
    assert "ci" == known.caller(text_of(1)).name
    for wrong in (text_of(2), text_of(1)[:-1], "exai_"):
        refused(known, wrong)


@pytest.mark.parametrize("token", [RIGHT, None])
def test_no_stranger_learns_why(token: str | None) -> None:
    """Unknown, revoked and expired tokens are refused in the same words, and each is counted."""
    known = tokens(
        created(1, "ci", "call"),
        revoked(1, "ci"),
        created(2, "old", "call", expires_at=AT),
        created(3, "good", "call"),
        token=token,
    )
    assert 1 == len({refused(known, text_of(number)) for number in (1, 2, 9)})
    assert 3 == known.failures
    assert "exai token create" in refused(known, text_of(9))[1]


def test_no_stranger_learns_by_the_time_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent is compared, as a digest, with every token that lets anybody in: as often for each."""
    compared: list[int] = []
    compare_digest = hmac.compare_digest

    def compare(given: bytes, wanted: bytes) -> bool:
        assert 32 == len(given) == len(wanted)
        compared[-1] += 1
        return compare_digest(given, wanted)

    known = tokens(
        created(1, "ci", "call"),
        revoked(1, "ci"),
        created(2, "old", "call", expires_at=AT),
        created(3, "good", "call"),
        created(4, "ends", "call", expires_at=ENDS),
        token=RIGHT,
    )
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for token in (None, text_of(1), text_of(2), text_of(3), text_of(4), text_of(9), "x" * 5000):
        compared.append(0)
        with contextlib.suppress(UnauthorizedError):
            known.caller(token)
    assert {3} == set(compared)


def test_a_token_expires() -> None:
    """To the moment, for who comes and for who is there."""
    day = Day()
    known = tokens(created(1, "ci", "call", expires_at=ENDS), day=day)
    day.now_ns = ENDS_NS - 1
    caller = known.caller(text_of(1))
    assert known.valid(caller)
    day.now_ns = ENDS_NS
    refused(known, text_of(1))
    assert "the token has expired" == known.lapse(caller)


def test_what_is_committed_counts() -> None:
    """A token counts from the entry that makes it to the entry that revokes it, on whatever thread they come."""
    known = tokens(token=RIGHT)
    refused(known, text_of(1))
    thread = Thread(target=known.take, args=(steps(SystemEntry(event="x", detail={}), created(1, "ci", "call")),))
    thread.start()
    thread.join()
    caller = known.caller(text_of(1))
    known.take(steps(revoked(1, "ci")))
    refused(known, text_of(1))
    assert ("the token was revoked", False) == (known.lapse(caller), known.valid(caller))


def test_a_new_token_of_the_name_does_not_keep_the_old_one_in() -> None:
    """Who came with a token goes with it."""
    known = tokens(created(1, "ci", "call"))
    first = known.caller(text_of(1))
    known.take(steps(revoked(1, "ci"), created(2, "ci", "call", at=AT)))
    assert known.valid(known.caller(text_of(2)))
    assert not known.valid(first)
    assert not known.valid(msgspec.structs.replace(first, token_sha256="0" * 64))


def test_watchers_hear_of_changes_alone() -> None:
    """Each change is told once; steps that change nothing, or come again, are not."""
    known, heard = tokens(), list[str]()
    known.watch(lambda: heard.append("one"))
    known.watch(lambda: heard.append("two"))
    known.take(steps(SystemEntry(event="start", detail={})))
    known.take(steps(revoked(1, "ci")))
    assert [] == heard
    known.take(steps(created(1, "ci", "call")))
    known.take(steps(created(1, "ci", "call")))
    assert ["one", "two"] == heard


def test_a_caller_shows_no_token() -> None:
    """What is written of a caller is a digest that the ledger has too."""
    caller = tokens(created(1, "ci", "call")).caller(text_of(1))
    assert isinstance(caller, Caller)
    assert text_of(1)[5:] not in repr(caller)
