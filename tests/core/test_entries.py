"""An entry is exact bytes: what is written can be read, and what cannot be read is refused."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec
import pytest

from service.core import entries
from service.core.books import Figure, ReadingEntry, TokenClass, VerdictEntry, VerificationEntry, WindowSums
from service.core.canonical import NotCanonicalError, is_canonical
from service.core.entries import (
    ENDS,
    ActionEntry,
    AnyEntry,
    BudgetEntry,
    BudgetTerms,
    ClientEntry,
    End,
    SystemEntry,
    UnreadableEntryError,
    call_id,
    decode,
    encode,
    kind,
)
from service.core.entry import VERSION, Entry
from service.core.evidence import Signature, TlsPeer
from service.core.words import (
    BudgetEvent,
    BudgetPeriod,
    ClientEvent,
    ReadingCause,
    ReadingOutcome,
    VerdictWord,
    VerificationOutcome,
)

if TYPE_CHECKING:
    from tests.conftest import Made

README = Path(entries.__file__).with_name("README.md").read_text(encoding="utf-8")
KINDS = {str(entry.__struct_config__.tag): entry for entry in get_args(AnyEntry)}


FIGURE = Figure(name="available", amount="-0.5", unit="USD", resolution="0.00001", cap="10", resets_at="")
READING = ReadingEntry(
    provider="kimi",
    wallet="kimi-main",
    counter="balance",
    endpoint="https://api.moonshot.ai/v1/users/me/balance",
    cause=ReadingCause.SCHEDULE,
    outcome=ReadingOutcome.READ,
    status=200,
    asked_at="2026-11-22T16:20:59.000000Z",
    figures=(FIGURE,),
    account="0123456789abcdef",
    tells={"tier": "1"},
    message="",
    provider_ids={"msh-request-id": "r-1"},
    date="Sun, 22 Nov 2026 16:21:00 GMT",
    simulated=False,
)
VERIFICATION = VerificationEntry(
    tool_call_id="c" * 32,
    attempt_id="1" * 32,
    provider="kimi",
    wallet="kimi-main",
    outcome=VerificationOutcome.VALID,
    status=200,
    message="",
    asked_at="2026-11-22T16:21:05.000000Z",
    provider_ids={},
    simulated=False,
)
SUMS = WindowSums(
    unit="USD",
    opening="10",
    closing="9.75",
    moved="0.25",
    added=None,
    surely="0.25",
    straddling="0",
    in_doubt="0",
    tolerance="0.000025",
    attempts=1,
    classes=(TokenClass(name="output_tokens", ours=50, theirs=None),),
)
VERDICT = VerdictEntry(
    rule=1,
    provider="kimi",
    wallet="kimi-main",
    simulated=False,
    word=VerdictWord.PROVEN,
    code="P1",
    sentence="The balance fell by 0.25 USD; 1 call comes to 0.25 USD.",
    after=7,
    until=12,
    opened=7,
    closed=13,
    sums=SUMS,
    shared_with=("kimi-other",),
)
TERMS = BudgetTerms(name="daily", period=BudgetPeriod.DAY, limits={"USD": "5"}, each=("client",))


@pytest.fixture(scope="module")
def one_of_each(made: "Made") -> list[AnyEntry]:
    """One entry of every kind, with every optional part in one of them."""
    peer = TlsPeer(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", subject="api.z.ai", fingerprint="ab" * 32)
    signature = Signature(nonce="n", timestamp="1795364460000", signature="s", model="kimi-k3")
    return [
        made.tool_call(parent_span_id="00f067aa0ba902b7", parent_sampled=False, needs_model=True),
        made.intent(own_host=True, plan="coding"),
        made.accepted(tls=peer),
        made.settlement(signature=signature, usage_flags=("total_differs",), text_bytes=70),
        made.refusal(message="né ✓ \u2028"),
        made.unsent(),
        made.doubt(),
        made.answer(replay_of="d" * 32),
        made.resolution(),
        BudgetEntry(event=BudgetEvent.SET, name="daily", terms=TERMS, warning=None, by="exai.toml"),
        ClientEntry(
            event=ClientEvent.CREATED,
            name="ci",
            scopes=("call",),
            token_sha256="0" * 64,
            expires_at=None,
            by="anna",
        ),
        ActionEntry(action="adopt", by="anna", detail={"why": "a disk was replaced"}),
        SystemEntry(event="start", detail={"version": "0.1.0"}),
        READING,
        VERIFICATION,
        VERDICT,
    ]


def test_every_kind_is_read_as_it_was_written(one_of_each: list[AnyEntry]) -> None:
    """The bytes are canonical, name their kind, and give the same entry back."""
    assert list(KINDS) == [kind(entry) for entry in one_of_each]
    for entry in one_of_each:
        line = encode(
            msgspec.structs.replace(entry, origin="o-1", epoch=2, index=3, at="2026-11-22T16:21:00.000000Z")
        )
        assert is_canonical(line)
        assert line == encode(decode(line))
        assert kind(entry) == msgspec.json.decode(line)["kind"]


def test_the_bytes_of_an_entry_are_fixed() -> None:
    """Version 3 is written like this for ever: a stranger's verifier and old logs depend on it."""
    entry = SystemEntry(origin="o-1", epoch=1, index=0, at="2026-11-22T16:21:00.000000Z", event="start", detail={})
    expected = (
        b'{"at":"2026-11-22T16:21:00.000000Z","detail":{},"epoch":1,"event":"start",'
        b'"index":0,"kind":"system","origin":"o-1","v":3}'
    )
    assert expected == encode(entry)


def test_a_later_field_does_not_break_an_older_reader() -> None:
    """A field that is not known is passed over: fields may be added."""
    line = b'{"detail":{},"event":"stop","kind":"system","later":[1],"v":3}'
    assert SystemEntry(event="stop", detail={}) == decode(line)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "truncated"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `kind`"),
        (b'{"kind":"poem"}', "Invalid value 'poem'"),
        (b'{"kind":"system","event":"start"}', "missing required field `detail`"),
        (b'{"kind":"system","event":7,"detail":{}}', "Expected `str`, got `int`"),
        (b'{"kind":"system","event":"start","detail":{},"v":4}', "version is 4; this program reads up to 3"),
        (b'{"kind":"system","event":"\xff","detail":{}}', "utf-8"),
        (b'{"kind":"system","event":"","detail":{},"x":' + b"[" * 100_000, "recursion"),
    ],
)
def test_other_bytes_are_no_entry(line: bytes, why: str) -> None:
    """Whatever lies where an entry should be is refused by one error, whose text says why."""
    with pytest.raises(UnreadableEntryError, match=f"(?i){re.escape(why)}"):
        decode(line)


def test_contradictory_usage_is_no_entry(made: "Made") -> None:
    """A settlement of less than no tokens cannot be read back."""
    line = encode(made.settlement()).replace(b'"output_tokens":50', b'"output_tokens":-50')
    with pytest.raises(UnreadableEntryError, match="output_tokens = -50 is outside"):
        decode(line)


@pytest.mark.parametrize(
    ("version", "later"),
    [(1, (b'"idempotency":null,', b'"needs_model":false,')), (2, (b'"needs_model":false,',))],
)
def test_what_an_earlier_version_wrote_is_read_as_it_stands(
    made: "Made", version: int, later: tuple[bytes, ...]
) -> None:
    """An entry of a version before has none of the fields that came later, and is read all the same."""
    line = encode(msgspec.structs.replace(made.tool_call(), v=version))
    for field in later:
        assert field in line
        line = line.replace(field, b"")
    assert msgspec.structs.replace(made.tool_call(), v=version) == decode(line)


def test_an_entry_names_its_call_if_it_has_one(one_of_each: list[AnyEntry]) -> None:
    """What belongs to no call's record names none, a verification neither, which comes when its call is closed."""
    of_none = ("budget", "client", "action", "system", "reading", "verification", "verdict")
    expected = {name: None if name in of_none else "c" * 32 for name in KINDS}
    assert expected == {kind(entry): call_id(entry) for entry in one_of_each}


def test_a_float_cannot_be_written() -> None:
    """What has no canonical form makes no entry."""
    broken = SystemEntry(event="start", detail={"load": 0.5})  # type: ignore[dict-item] # wrong on purpose
    with pytest.raises(NotCanonicalError):
        encode(broken)


def test_every_end_has_its_outcome() -> None:
    """Each entry that ends an attempt says how it ended, and no two say the same."""
    assert set(get_args(End)) == set(ENDS)
    assert len(ENDS) == len(set(ENDS.values()))


def test_the_readme_names_the_fields_of_every_kind() -> None:
    """The README's table of entries and the code have the same kinds and fields, in the same order."""
    common = Entry.__struct_fields__
    in_code = {
        name: tuple(field for field in entry.__struct_fields__ if field not in common)
        for name, entry in KINDS.items()
    }
    rows = re.findall(r"^\| `([a-z_]+)` \| ((?:`[a-z_0-9]+` ?)+)\|", README, re.MULTILINE)
    assert in_code == {name: tuple(re.findall(r"`([a-z_0-9]+)`", fields)) for name, fields in rows}
    assert VERSION == 3
