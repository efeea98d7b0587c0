"""Making a token: it is shown once, kept nowhere, and counts before the answer leaves."""

from dataclasses import replace
from pathlib import Path

import pytest

from service.actions import token_create
from service.actions.token_create import ACTION, TokenCreate
from service.core.token import digest, is_token
from service.errors import ActionError
from tests.acting import BY, Acting


def all_bytes(folder: Path) -> bytes:
    """Read every file of a folder."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def make(lab: Acting, name: str = "ci", *scopes: str, expires: str | None = None) -> str:
    """Make a token and give its text."""
    asked = TokenCreate(name=name, scopes=scopes or ("call",), expires=expires)
    return (await ACTION.run(asked, lab.stand, BY)).token


async def test_a_token_is_made(lab: Acting) -> None:
    """The entry has its digest, rights, end and maker; the answer its text, which counts at once."""
    made = await ACTION.run(TokenCreate(name="ci", scopes=("read", "call"), expires="30d"), lab.stand, BY)
    assert is_token(made.token)
    (entry,) = lab.entries
    assert ("created", "ci", ("call", "read"), BY) == (entry.event, entry.name, entry.scopes, entry.by)
    assert (digest(made.token), made.expires_at) == (entry.token_sha256, entry.expires_at)
    assert ("2026-12-22T16:21:00.000000Z", entry.at) == (made.expires_at, made.created_at)
    assert entry.token_sha256[:8] == made.fingerprint
    assert "ci" == lab.tokens.caller(made.token).name


async def test_the_text_is_kept_nowhere(lab: Acting, tmp_path: Path) -> None:
    """Neither in a file, nor in what is shown of the answer."""
    made = await ACTION.run(TokenCreate(name="ci", scopes=("call",)), lab.stand, BY)
    traces = (made.token[5:20], made.token[20:35])
    written = all_bytes(tmp_path)
    assert made.fingerprint.encode() in written
    assert [] == [trace for trace in traces if trace.encode() in written]
    assert [] == [trace for trace in traces if trace in f"{made!r} {made}"]


async def test_no_two_are_alike(lab: Acting) -> None:
    """Every token has chance of its own."""
    assert 5 == len({await make(lab, f"ci-{number}") for number in range(5)})


async def test_a_name_has_one_live_token(lab: Acting) -> None:
    """A second one is refused with the remedy; once the first has expired there is room."""
    await make(lab, expires="1h")
    with pytest.raises(
        ActionError, match=r"'ci' has a token already, .*, valid until 2026-11-22T17:21:00"
    ) as caught:
        await make(lab)
    assert "exai token revoke ci" in caught.value.remedy
    lab.day.at_ns += 3600 * 10**9
    await make(lab)
    with pytest.raises(ActionError, match=r"'ci' has a token already, \w+…, valid$"):
        await make(lab)
    assert 2 == len(lab.entries)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (TokenCreate(name="CI", scopes=("call",)), "no name for a token"),
        (TokenCreate(name="default", scopes=("call",)), "is taken"),
        (TokenCreate(name="ci", scopes=()), "needs a scope"),
        (TokenCreate(name="ci", scopes=("write",)), "'write' is no scope"),
        (TokenCreate(name="ci", scopes=("call",), expires="soon"), "'soon' is no time"),
        (TokenCreate(name="ci", scopes=("call",), expires="2026-11-22T16:20:00Z"), "is past"),
    ],
)
async def test_what_cannot_be(lab: Acting, asked: TokenCreate, why: str) -> None:
    """It is refused in a sentence, and nothing is written."""
    with pytest.raises(ActionError, match=why) as caught:
        await ACTION.run(asked, lab.stand, BY)
    assert caught.value.remedy
    assert [] == lab.entries


async def test_tokens_have_a_limit(lab: Acting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wrong token is compared with all, so there may not be any number."""
    monkeypatch.setattr(token_create, "ACTIVE_MAX", 2)
    await make(lab, "one")
    await make(lab, "two")
    with pytest.raises(ActionError, match="there are 2 tokens; that is the limit"):
        await make(lab, "three")


async def test_a_command_alone_tells_nobody(lab: Acting) -> None:
    """Where no service runs there is nobody to tell; the entry is all."""
    stand = replace(lab.stand, heard=lambda _steps: None)
    await ACTION.run(TokenCreate(name="ci", scopes=("call",)), stand, BY)
    assert ["ci"] == [token.name for token in lab.named]
