"""`exai ledger verify`: whether a log is whole and the one that was signed; the exit status is the answer."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from service.cli._command import Command, add_settings, read_settings
from service.cli._proofs import show_proof
from service.core.note import VerifierKey
from service.errors import SettingsError
from service.ledger.findings import Problem
from service.ledger.judging import NOT_SHOWN, Judgement, judge
from service.ledger.sources import Head, Source, look, open_export_source, open_store_source, read_notes, read_text
from service.settings import Settings

BROKEN = 1
_WHOLE = {
    "hashes": "indexes are contiguous, each entry's bytes are those that were hashed",
    "tree": "the stored tree is that of these entries",
    "grammar": "each entry can be read and may stand where it stands",
    "tables": "calls, attempts and sums agree with the entries; the file is whole",
}


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir", "checkpoints_dir")
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        help="an export, an archive, a proof, or the folder of a backup; without it the data folder is verified",
    )
    parser.add_argument(
        "--key",
        metavar="KEY",
        help="the log's public key as you noted it, name+id+base64, or @FILE that holds it",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        help="checkpoints of it from elsewhere, as a receipt's or a witness file's, to be held against it too",
    )
    parser.add_argument("--quick", action="store_true", help="stop after hashes, tree and checkpoint")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    settings = read_settings(arguments).settings
    key = None if arguments.key is None else _key(arguments.key)
    head = Head("folder", settings.data_dir) if arguments.file is None else look(arguments.file)
    if head.kind == "proof":
        return show_proof(head.path, key, settings.checkpoints, as_json=arguments.format == "json")
    notes = None if arguments.checkpoint is None else read_notes(arguments.checkpoint)
    with _source(head, arguments, settings) as source:
        found = judge(source, key=key, notes=notes, quick=arguments.quick)
    if arguments.format == "json":
        sys.stdout.buffer.write(_json(found))
    else:
        for line in _text(found):
            Console().print(line, markup=False, highlight=False, soft_wrap=True)
    return BROKEN if found.problems_total else 0


def _key(said: str) -> VerifierKey:
    text = read_text(Path(said[1:])).strip() if said.startswith("@") else said
    try:
        return VerifierKey.parse(text)
    except ValueError as error:
        raise SettingsError(
            f"--key is no public key: {error}",
            remedy="Give it as /api/v1/key shows it, name+id+base64, or a file that holds it: --key @FILE.",
        ) from error


def _source(head: Head, arguments: Namespace, settings: Settings) -> AbstractContextManager[Source]:
    if head.kind != "folder":
        return open_export_source(head.path, compressed=head.kind == "archive")
    stated = arguments.file is None or arguments.checkpoints_dir is not None
    return open_store_source(head.path, settings.checkpoints if stated else _beside(head.path))


def _beside(folder: Path) -> Path:
    """Say where a data folder's checkpoints are if nobody says otherwise."""
    return Settings(data_dir=folder.absolute()).checkpoints


def _text(found: Judgement) -> Iterator[str]:
    yield f"{found.what}: {found.entries} entries of {found.origin or 'no name'}"
    if found.problems_total:
        yield f"  {found.problems_total} problems"
        if found.first_bad is not None:
            yield f"  the first bad entry: {found.first_bad.where}"
        for problem in found.problems:
            yield f"  {problem.where}: {problem.sentence}"
    else:
        for word in found.checked:
            if word in _WHOLE:
                yield f"  {word}: {_WHOLE[word]}"
    yield f"  checkpoint: {_checkpoint(found)}"
    if found.passed_over:
        yield f"  passed over: {found.passed_over} checkpoints of other logs"
    if found.torn:
        yield f"  skipped: {found.torn} checkpoints that are not whole, as a crash or a full disk leaves them"
    if found.public_key is not None:
        where = "as it was given" if found.key_given else _KEY_BESIDE
        yield f"  key: {found.public_key} ({where})"
    yield NOT_SHOWN


_KEY_BESIDE = (
    "found beside the log, where who changed the one could change the other; --key takes the one you noted"
)


def _checkpoint(found: Judgement) -> str:
    if not found.covered:
        return "none covers these entries: nobody has signed that they are all"
    after = found.entries - found.covered
    signed = f"the first {found.covered} entries are those that were signed"
    return f"{signed}; {after} after them are not covered by it" if after else signed


def _json(found: Judgement) -> bytes:
    told: dict[str, Any] = msgspec.to_builtins(found)
    told["ok"] = not found.problems_total
    told["not_covered"] = found.entries - found.covered
    told["first_bad"] = _placed(found.first_bad)
    told["not_shown"] = NOT_SHOWN
    return json.dumps(told, indent=2).encode() + b"\n"


def _placed(problem: Problem | None) -> dict[str, Any] | None:
    return None if problem is None else msgspec.to_builtins(problem)


COMMAND = Command(
    name="ledger-verify",
    summary="check that a log is whole and the one that was signed, with its public key alone",
    arguments=_arguments,
    run=_run,
)
