"""Judging: everything that can be said of a log with its public key alone, in one order.

Indexes, each entry's bytes against its hash, the tree against the signed checkpoints; then what the entries say
and what may follow what; then, of a store, its tables and its file.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import msgspec

from service.core.note import Checkpoint, NoteError, VerifierKey, opened
from service.errors import StoreError
from service.ledger.findings import Findings, Problem
from service.ledger.seals import Sealed, Stored, check_seals
from service.ledger.sources import Source
from service.ledger.verify import compare_rows, verify

NOT_SHOWN = (
    "Not shown by this: who owns the machine and the key can rewrite what nobody else has seen,"
    " and store and checkpoints restored together hide what came after them."
)


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of a log.

    Attributes:
        kind, what: of the source.
        origin: the log's name; empty if nothing says it.
        entries: how many there are.
        covered: how many of the first a signed checkpoint vouches for.
        root: of the tree of all entries, hex; None where indexes are missing.
        public_key: what signatures were verified with; None if there was no key.
        key_given: whether it was given, and not found beside the log.
        checked: what was looked at, in order: `hashes`, `tree`, `checkpoint`, `grammar`, `tables`.
        passed_over: how many checkpoints from elsewhere are of other logs.
        torn: how many of those from elsewhere are not whole.
        problems, problems_total: what is wrong; of the former only the first hundred.
    """

    kind: str
    what: str
    origin: str
    entries: int
    covered: int
    root: str | None
    public_key: str | None
    key_given: bool
    checked: tuple[str, ...]
    passed_over: int
    torn: int
    problems: tuple[Problem, ...]
    problems_total: int

    @property
    def first_bad(self) -> Problem | None:
        """The problem with the lowest index; of several the one that is told most exactly."""
        placed = [(one.index, one.last or one.index, one) for one in self.problems if one.index is not None]
        return min(placed, key=lambda found: found[:2])[2] if placed else None


class _Elsewhere:
    """Checkpoints from elsewhere: those of this log are verified, the others counted."""

    def __init__(self) -> None:
        self.passed_over = 0
        self.torn = 0

    def opened(
        self, notes: Iterable[str | None], verifier: VerifierKey | None, findings: Findings
    ) -> list[Checkpoint]:
        """Verify signatures; without a key there is nothing to verify them with."""
        found: list[Checkpoint] = []
        if verifier is None:
            return found
        ours = 0
        for note in notes:
            if note is None:
                self.torn += 1
            elif note.partition("\n")[0] != verifier.name:
                self.passed_over += 1
            else:
                ours += 1
                found += _opened([note], verifier, findings)
        if not ours:
            findings.note(None, f"of the checkpoints from elsewhere none is of {verifier.name}")
        return found


class _Origin(msgspec.Struct, frozen=True):
    """An entry, as far as its log's name is asked for."""

    origin: str


def judge(
    source: Source,
    *,
    key: VerifierKey | None = None,
    notes: Iterable[str | None] | None = None,
    quick: bool = False,
) -> Judgement:
    """Judge a log.

    Args:
        source: where it is.
        key: that signed its checkpoints; if None, the one that was found beside it.
        notes: texts of checkpoints that are known from elsewhere, of this log or others;
            in place of one that is torn None.
        quick: whether to stop after the checkpoints, before any entry is read as JSON.

    Raises:
        StoreError: nothing of it can be read.
    """
    findings, checked = Findings(), ["hashes"]
    verifier = key or _key_beside(source, findings)
    own, elsewhere = _opened(source.notes, verifier, findings), _Elsewhere()
    checkpoints = own if notes is None else own + elsewhere.opened(notes, verifier, findings)
    stored = _stored(source, findings)
    sealed = check_seals(source.rows(), checkpoints, findings, stored=stored)
    if stored is not None:
        checked.append("tree")
    if checkpoints:
        checked.append("checkpoint")
    origin = source.origin or _origin_of(sealed.last)
    _look_for_rest(source, sealed, own, findings)
    _look_for_signature(source, sealed, verifier, origin, findings, given=key is not None)
    if not quick:
        checked += _read_on(source, sealed, findings)
    return Judgement(
        kind=source.kind,
        what=source.what,
        origin=origin,
        entries=sealed.entries,
        covered=sealed.covered,
        root=None if sealed.root is None else sealed.root.hex(),
        public_key=None if verifier is None else verifier.text,
        key_given=key is not None,
        checked=tuple(checked),
        passed_over=elsewhere.passed_over,
        torn=elsewhere.torn,
        problems=tuple(findings.problems),
        problems_total=findings.total,
    )


def _key_beside(source: Source, findings: Findings) -> VerifierKey | None:
    if source.key is None:
        return None
    try:
        return VerifierKey.parse(source.key)
    except ValueError as error:
        findings.note(None, f"what stands beside it is no public key: {error}")
        return None


def _stored(source: Source, findings: Findings) -> Stored | None:
    try:
        return source.stored()
    except StoreError as error:
        findings.note(None, error.message)
        return None


def _opened(notes: Sequence[str], verifier: VerifierKey | None, findings: Findings) -> list[Checkpoint]:
    """Verify signatures; without a key there is nothing to verify them with."""
    found: list[Checkpoint] = []
    if verifier is None:
        return found
    for note in notes:
        try:
            found.append(opened(note, verifier))
        except NoteError as error:
            findings.note(None, str(error))
    return found


def _look_for_signature(
    source: Source,
    sealed: Sealed,
    verifier: VerifierKey | None,
    origin: str,
    findings: Findings,
    *,
    given: bool,
) -> None:
    """Note what should be there and is not."""
    if not sealed.entries:
        findings.note(None, "no entry at all; this is no log")  # every log begins with the start that made it
        return
    if verifier is not None and verifier.name != origin:
        findings.note(None, f"the key is of the log {verifier.name}, and this one says it is {origin!r}")
    if source.was_signed and not source.notes:
        findings.note(None, "no checkpoint of it is where checkpoints are kept, and there was one")
    elif source.notes and verifier is None:
        findings.note(None, "a checkpoint is there, and no public key to verify it with; give one")
    elif given and not sealed.covered and not findings.total:
        findings.note(None, "no checkpoint covers it, so the key that was given shows nothing")


def _look_for_rest(source: Source, sealed: Sealed, own: Sequence[Checkpoint], findings: Findings) -> None:
    """Note what its own checkpoint leaves out, where nothing can have come after that."""
    if source.kind == "store":
        if sealed.entries and any(not one.size for one in own):
            findings.note(None, "the checkpoint that is kept covers no entry")
    elif source.kind == "archive" and not source.notes:
        findings.note(None, "the checkpoint that closes every archive is not there")
    for one in own if source.kind != "store" else ():
        if one.size < sealed.entries:
            sentence = f"the checkpoint in the last line covers the first {one.size} entries alone"
            findings.note(one.size, sentence, last=sealed.entries - 1)


def _read_on(source: Source, sealed: Sealed, findings: Findings) -> list[str]:
    """Check what entries say; and, only if all that is right, whether the tables say the same."""
    try:
        verify(islice(source.lines(), sealed.entries), findings=findings)
        if source.reading is None or findings.total:
            return ["grammar"]
        for complaint in source.complaints():
            findings.note(None, f"the file is damaged: {complaint}")
        compare_rows(source.reading, findings=findings)
    except StoreError as error:
        findings.note(None, error.message)
        return []
    except UnicodeDecodeError:  # a bit of the file is wrong where a text stands
        findings.note(None, "the file is damaged: a text in it cannot be read")
        return []
    return ["grammar", "tables"]


def _origin_of(entry: bytes) -> str:
    try:
        return msgspec.json.decode(entry, type=_Origin).origin
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
