"""What a proof that somebody holds says, checked offline."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from service.core.note import VerifierKey
from service.core.proof import PROOF_BYTES_MAX, ProofError, check, parsed
from service.errors import StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.proving import NOT_SHOWN, Vouched, told
from service.ledger.sources import read_text


def show_proof(path: Path, key: VerifierKey | None, checkpoints: Path, *, as_json: bool) -> int:
    """Check a proof with a public key, or with the one that this machine keeps for its log; give the exit status.

    Raises:
        StoreError: the file cannot be read, or there is no key.
    """
    text = read_text(path, PROOF_BYTES_MAX)
    report: dict[str, Any] = {"kind": "proof", "what": str(path), "ok": False, "key_given": key is not None}
    try:
        proof = parsed(text)
        if not proof.extra:
            raise ProofError("the proof carries no entry, so there is nothing to check")  # noqa: TRY301 - one way out
        verifier = key or _kept_key(path, proof.checkpoint, Checkpoints(checkpoints))
        checkpoint = check(text, proof.extra, verifier)
    except ProofError as error:
        report["problem"] = str(error)
    else:
        shows, _ = told(Vouched(proof.checkpoint, checkpoint, verifier), proof.index)
        report |= {
            "ok": True,
            "origin": checkpoint.origin,
            "index": proof.index,
            "size": checkpoint.size,
            "public_key": verifier.text,
            "entry": _readable(proof.extra),
            "shows": shows,
        }
    report["not_shown"] = NOT_SHOWN
    if as_json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _show(report)
    return 0 if report["ok"] else 1


def _kept_key(path: Path, note: str, checkpoints: Checkpoints) -> VerifierKey:
    """Find the key of the log that a proof names; of a stranger's log there is none here."""
    origin = note.partition("\n")[0]
    named = next((key for key in _kept(checkpoints) if key.name == origin), None)
    if named is None:
        raise StoreError(
            f"{path} is a proof of a log whose public key is not kept here",
            remedy="Give the key, as the log's owner noted or published it: --key name+id+base64, or --key @FILE.",
        )
    return named


def _kept(checkpoints: Checkpoints) -> list[VerifierKey]:
    found = []
    for path in sorted(checkpoints.folder.glob("*.pub")):
        try:
            found.append(VerifierKey.parse(read_text(path).strip()))
        except ValueError:  # not one of ours
            continue
    return found


def _readable(entry: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(entry)
    except (ValueError, RecursionError):  # what is proved need not be an entry of ours
        return entry.hex()


def _show(report: dict[str, Any]) -> None:
    console = Console()

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    if not report["ok"]:
        say(f"{report['what']}: {report['problem']}")
        return
    say(f"{report['what']}: the proof holds")
    say(json.dumps(report["entry"], indent=2).replace("\x7f", "\\u007f"))
    if not report["key_given"]:
        say(f"key: {report['public_key']} (the one that is kept here; --key takes the one you noted)")
    say(report["shows"])
    say(report["not_shown"])
