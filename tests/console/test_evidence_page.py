"""The Evidence page: key, checkpoint, audit, and what was done to the ledger."""

from typing import TYPE_CHECKING, Any

import pytest

from console.told import told
from service.core.entries import ActionEntry, BudgetEntry, BudgetTerms, BudgetWarning, ClientEntry, SystemEntry
from service.core.words import BudgetEvent, BudgetPeriod, ClientEvent
from service.ledger.auditing import Audited
from service.ledger.findings import Problem

if TYPE_CHECKING:
    from tests.conftest import Made
    from tests.console.conftest import Books, Browser, Shows

AT = "2026-11-22T16:40:00.000000Z"
HOSTILE = "<script>alert(1)</script>\"'"
DAILY = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "5"})


def token(event: ClientEvent, **changed: Any) -> ClientEntry:  # noqa: ANN401 - any field
    """Make or revoke anna's token."""
    stated = {"scopes": ("call", "read"), "expires_at": None, **changed}
    return ClientEntry(event=event, name="anna", token_sha256="abcdef01" * 8, by="user root (uid 0)", **stated)


def limit(event: BudgetEvent, **changed: Any) -> BudgetEntry:  # noqa: ANN401 - any field
    """Say something of the budget `daily`."""
    return BudgetEntry(
        **{"event": event, "name": "daily", "terms": None, "warning": None, "by": "exai.toml"} | changed
    )


async def test_key_checkpoint_and_ways_to_check_are_shown(shows: "Shows", books: "Books") -> None:
    """A reader finds the public key, the newest checkpoint with its time, commands, and what they cannot show."""
    books.signed = 1
    page = await shows("/evidence")
    for words in (
        "Note it down somewhere else.",
        "o-test+01234567+AbCdEf",
        "kept at 2026-11-22 16:59:30.000 UTC",
        "— o-test s1gned",
        "exai ledger verify --key o-test+01234567+AbCdEf",
        "exai ledger verify ledger.jsonl --key o-test+01234567+AbCdEf",
        "exai ledger prove ID -o call.tlog-proof",
        "who owns the machine and the key can rewrite that",
        "store and checkpoints restored together hide what came after them",
        "Recorded 1 entry",
        "Signed all of them",
    ):
        assert words in page, words


@pytest.mark.parametrize(
    ("audited", "words"),
    [
        (
            Audited(walked=7),
            ("… The first audit is under way", "not known yet: the first round since the start is at entry 7"),
        ),
        (
            Audited(verified=9, rounds=1, at=AT),
            ("✓ Signed and verified, but for the newest 1", "the first 9, last at 2026-11-22 16:40:00.000 UTC"),
        ),
        (
            Audited(
                verified=9, at=AT, problems=3, first=Problem(4, "the leaf hash is not that of the entry's bytes")
            ),
            (
                "≠ The record was changed",
                "The audit found entry 4: the leaf hash is not that of the entry's bytes.",
                "That is the first of 3 findings.",
                "exai ledger verify",
            ),
        ),
        (
            Audited(failure="the ledger cannot be read"),
            ("! The audit cannot look", "the ledger cannot be read. It tries again"),
        ),
    ],
)
async def test_what_the_audit_found_is_said(
    shows: "Shows", books: "Books", audited: Audited, words: tuple[str, ...]
) -> None:
    """Each state of the audit has its words, and nothing is called verified before it was."""
    books.audited = audited
    page = await shows("/evidence")
    for one in words:
        assert one in page, one
    assert ("✓ Signed and verified" in page) is (audited.verified is not None and audited.first is None)


async def test_what_cannot_be_kept_is_said(shows: "Shows", books: "Books") -> None:
    """A checkpoint that could not be kept is the page's first word, with its remedy; the overview says it, too."""
    books.failing, books.audited = True, Audited(verified=1, at=AT)
    page = await shows("/evidence")
    assert "! Checkpoints cannot be kept" in page
    assert "EXAI_CHECKPOINTS_DIR" in page
    assert "Signed the first 0; 1 not yet" in page


async def test_what_was_done_to_the_ledger_is_listed(shows: "Shows", books: "Books", made: "Made") -> None:
    """Starts, budgets, tokens, actions and resolutions stand newest first, with who and why; calls do not."""
    call_id = await books.write(made.tool_call(), made.intent(), made.doubt(), made.answer())
    attempt_id = f"{1:08x}{made.attempt_id()[8:]}"
    stated = made.resolution(tool_call_id=call_id, attempt_id=attempt_id, why=HOSTILE)
    warning = BudgetWarning(
        unit="USD", group=("anna",), window=AT, percent=80, used="4", limit="5", simulated=True
    )
    for entry in (
        token(ClientEvent.CREATED, expires_at=AT),
        token(ClientEvent.REVOKED),
        ActionEntry(action="backup", by="user root (uid 0)", detail={"size_bytes": "77"}),
        stated,
    ):
        await books.ledger.append(entry)
    page = await shows("/evidence")
    expected = (
        f"An attempt in doubt was stated to have cost 0.5 USD, 700 tokens. Its receipt Why: {HOSTILE}",
        "Done to the ledger: backup. by user root (uid 0)",
        "Token anna (abcdef01…) was revoked.",
        "Token anna (abcdef01…) was made, for call, read; it expires at 2026-11-22T16:40:00Z.",
        "The service started.",
    )
    places = [page.index(words) for words in expected]
    assert sorted(places) == places
    assert "Its receipt" in page
    assert (
        "Budget daily (anna): 80 % are used up, 4 of 5 USD, SIMULATED."
        == told(limit(BudgetEvent.WARNED, warning=warning)).said
    )
    assert (
        "Budget daily was set: 5 USD a day (UTC), for all attempts."
        == told(limit(BudgetEvent.SET, terms=DAILY)).said
    )
    assert "Budget daily was removed." == told(limit(BudgetEvent.REMOVED)).said
    assert "written off" in told(made.written_off()).said
    assert "The service noted: nap." == told(SystemEntry(event="nap", detail={})).said
    assert "it never expires" in told(token(ClientEvent.CREATED)).said
    assert "An entry of kind intent." == told(made.intent()).said


async def test_the_list_has_pages(shows: "Shows", books: "Books", browser: "Browser") -> None:
    """Fifty entries a page, and links on and back; an address that asks for something else is refused."""
    for number in range(60):
        await books.ledger.append(ActionEntry(action=f"act-{number}", by="somebody", detail={}))
    first = await shows("/evidence")
    assert "act-59." in first
    assert "act-9." not in first
    document = await (await browser.get("/console/evidence.json")).json()
    assert 50 == len(document["doings"])
    second = await shows(f"/evidence?before={document['older']}")
    assert "act-9." in second
    assert "The service started." in second
    assert "act-10." not in second
    assert "No older entry of this kind." in await shows("/evidence?before=0")
    for wrong in ("?before=x", "?before=1&before=2", "?limit=5"):
        await shows(f"/evidence{wrong}", 400)


class TestOwner:
    """A reader who sees one client's calls alone."""

    @pytest.fixture
    def owner(self) -> str:
        """Whose calls alone the reader may see."""
        return "anna"

    async def test_sees_no_list(self, shows: "Shows", browser: "Browser") -> None:
        """Key and checkpoint are for all who may read; tokens, actions and budgets of others are not."""
        page = await shows("/evidence")
        assert "o-test+01234567+AbCdEf" in page
        assert "Who sees one client's calls alone does not see this list." in page
        assert "The service started." not in page
        assert (await (await browser.get("/console/evidence.json")).json())["doings"] is None
