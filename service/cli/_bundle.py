"""The bundle of a proof: all that somebody needs to check it without this machine, in one zip file."""

import contextlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from service.core import entries
from service.core.books import ReadingEntry, VerdictEntry, VerificationEntry
from service.core.entries import AnyEntry, IntentEntry, SettlementEntry
from service.core.money import decimal_text
from service.core.times import utc_ns
from service.core.usage import Usage
from service.equipment import load_providers
from service.errors import ActionError, StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.proving import NOT_SHOWN, Vouched, covering, proof_of
from service.ledger.reading import Reading
from service.ledger.store import Line
from service.serving.operator import Proved

NAME = "exai-proof-{id}.zip"
ID_CHARS = 12
SUFFIX = ".tlog-proof"
SIMULATED = "SIMULATED: "
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's earliest time: the same proof gives the same bytes

_README = """\
{mark}A proof of what tool call {id} consumed, made by EXAI.{simulated}

    {mark}{word} ({code})
    {sentence}

proof.json               what was found: both readings, how many calls, what they come to, and the verdict
receipts/{id}.json
                         the receipt: every attempt, the provider's own request ids, usage, cost, verdict
entries/*.json           the log's entries behind it, byte for byte, each named by its index and kind:
                         the call and its attempts, the readings at both ends, verdict and signature checks
proofs/*.tlog-proof      for each of these entries, the proof that it is in the log that was signed
checkpoint.txt           the signed checkpoint that covers them all (C2SP tlog-checkpoint)
public_key.txt           the key that signed it

How to check it, offline:

1. Each proof, on any machine that has EXAI, with this key alone:

       exai ledger verify proofs/{first}{suffix} --key @public_key.txt

   It prints the entry that it proves: that is what counts, should the file in entries/ say anything
   else. Compare the key with the one that you noted earlier: who could write this bundle could have
   written a key of its own. By openssl and sha256sum alone: see service/ledger/README.md of EXAI.

{cost}
   A refusal, entries/*-refusal.json, told of no usage and counts as nothing. An attempt in doubt,
   entries/*-doubt.json, got no usage: `spent` is then null, and `at_most` holds what it may have
   been billed, the worst case of its intent. Nothing offline settles a doubt: look for its time and
   ids at the provider (4).

3. The movement: the figures of the two readings, entries/*-reading.json; their difference is what
   the provider says was consumed.

4. At the provider: look its request ids up in its own console, or ask its support about them. Where
   it signs its answers, POST nonce, timestamp, model and signature of a settlement to
   /v1/signatures/verify with any key of yours.

{not_shown}
"""


_PAID = """\
2. The cost: usage x rates of each settlement, entries/*-settlement.json, is its amount; they add up
   to `spent` of proof.json."""

_COUNTED = """\
2. The credits: a plan pays, so no settlement holds an amount, and nothing signed here states what a
   plan counts: that is only said on the provider's page. EXAI took it to be, at the time of each
   settlement (peak hours, in which a plan counts more, are in these numbers):

{rates}

   Usage x these, by the classes of entries/*-settlement.json, adds up to `spent` of proof.json.
   What was written to a cache counts as uncached input. Where an attempt began in other hours than
   it ended in, `spent` is null, and `at_most` holds what it counts in the dearer ones."""
_MILLION = 10**6
_CLASSES = ("uncached_input_tokens", "cached_input_tokens", "output_tokens")
_NOTHING = Usage(
    uncached_input_tokens=0,
    cached_input_tokens=0,
    cache_write_tokens=0,
    output_tokens=0,
    reasoning_tokens=0,
)


def write_bundle(reading: Reading, checkpoints: Checkpoints, proved: Proved, out: Path) -> None:
    """Write a bundle as a new file.

    Args:
        reading: the log.
        checkpoints: where the log's signed checkpoints are kept.
        proved: the proof, as the service gave it.
        out: the file.

    Raises:
        StoreError: nothing signed covers the entries, or the log cannot be read.
        ActionError: the file is there already, or cannot be written.
    """
    lines = _lines(reading, proved)
    vouched, why = covering(checkpoints, reading.head().origin, lines[-1].index + 1)
    if vouched is None or why is not None:
        raise StoreError("no signed checkpoint covers the proof yet", remedy="" if why is None else why.remedy)
    parts = dict(_parts(reading, vouched, proved, lines))
    try:
        _write(out, parts)
    except OSError as error:
        raise ActionError(
            f"{out} cannot be written: {error.strerror}", remedy="Name a new file with --out."
        ) from error


def _write(out: Path, parts: Mapping[str, str | bytes]) -> None:
    """Write a zip as a new file, whole or not at all."""
    file = out.open("xb")
    try:
        with file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
            for name, content in parts.items():
                bundle.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    except BaseException:
        with contextlib.suppress(OSError):
            out.unlink()
        raise


def _lines(reading: Reading, proved: Proved) -> list[Line]:
    """Give the lines behind a proof, in the log's order."""
    proof = proved.proof
    found = {line.index: line for line in reading.call_lines(proved.tool_call_id)}
    wanted = {one.index for one in (proof.opening, proof.closing, proof.verdict) if one is not None}
    if proof.verdict is not None:
        wanted |= {index for index in (proof.verdict.opened, proof.verdict.closed) if index is not None}
    for judged in reading.judged((proved.tool_call_id,)).values():
        said: tuple[VerdictEntry | VerificationEntry | None, ...] = (
            judged.own,
            judged.window,
            judged.verification,
        )
        wanted |= {one.index for one in said if one is not None}
    for index in wanted - found.keys():
        line = reading.line(index) if index >= 0 else None
        if line is not None:
            found[index] = line
    return [found[index] for index in sorted(found)]


def _parts(
    reading: Reading, vouched: Vouched, proved: Proved, lines: Sequence[Line]
) -> Iterator[tuple[str, str | bytes]]:
    proof, call = proved.proof, proved.tool_call_id
    yield (
        "README.txt",
        _README.format(
            id=call,
            mark=SIMULATED if proof.simulated else "",
            simulated=" No real provider was asked." if proof.simulated else "",
            word=proof.word,
            code=proof.code,
            sentence=proof.sentence.removeprefix(SIMULATED),
            first=lines[0].index,
            cost=cost_text([entries.decode(line.entry) for line in lines]),
            suffix=SUFFIX,
            not_shown=NOT_SHOWN,
        ),
    )
    yield "proof.json", _json(msgspec.to_builtins(proof))
    yield f"receipts/{call}.json", _json(proved.receipt)
    yield "checkpoint.txt", vouched.note
    yield "public_key.txt", f"{vouched.verifier.text}\n"
    for line in lines:
        kind = entries.kind(entries.decode(line.entry))
        yield f"entries/{line.index}-{kind}.json", line.entry
        yield f"proofs/{line.index}{SUFFIX}", proof_of(reading, vouched, line.index)


def cost_text(found: Sequence[AnyEntry]) -> str:
    """Say how the amounts are worked out again: by each settlement's rates, or by what a plan counts."""
    plans = {one.attempt_id: one for one in found if isinstance(one, IntentEntry) and one.plan is not None}
    if not plans:
        return _PAID
    settled = [one for one in found if isinstance(one, SettlementEntry) and one.attempt_id in plans]
    rates = [f"       {one.index}-settlement.json: {_counted(plans[one.attempt_id], one)}" for one in settled]
    return _COUNTED.format(rates="\n".join(rates) or "       (no attempt was settled)")


def _counted(intent: IntentEntry, settled: SettlementEntry) -> str:
    """Write what a million tokens of each class count in an attempt's plan, at the time of its settlement."""
    counters = load_providers()[intent.provider].counters
    at_ns, told = utc_ns(settled.at), []
    for name in _CLASSES:
        usage = msgspec.structs.replace(_NOTHING, **{name: _MILLION})
        drawn = counters.drawn_pico(plan=intent.plan or "", model=intent.model, usage=usage, at_ns=at_ns)
        amount = "unknown" if drawn is None else decimal_text(drawn)
        told.append(f"{amount} {name.removesuffix('_tokens').replace('_', ' ')}")
    return f"{intent.model}, credits per million tokens: {', '.join(told)}"


def _json(plain: Any) -> bytes:  # noqa: ANN401 - any JSON value
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def line_of(entry: ReadingEntry) -> str:
    """Show a reading in one line: what it says, and when that was true."""
    return f"{entry.counter} {entry.outcome.replace('_', ' ')}: {said_by(entry)}, at {entry.at}"


def said_by(entry: ReadingEntry) -> str:
    """Show what a reading says: its figures, or what else it tells, or why it was not read."""
    figures = [f"{one.name} {one.amount} {one.unit}" for one in entry.figures]
    tells = [f"{name} {value}" for name, value in entry.tells.items()]
    return ", ".join(figures or tells) or entry.message or "nothing"
