"""`exai ledger prove`: for entries of a call, texts by which anybody can tell offline that they are in the log."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from service.cli._command import Command, add_settings, read_settings
from service.errors import ActionError, StoreError
from service.ledger.checkpoints import Checkpoints
from service.ledger.finding import find
from service.ledger.proving import Vouched, covering, latest_of_each, proof_of, told
from service.ledger.reading import Reading
from service.settings import Settings

SUFFIX = ".tlog-proof"


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "data_dir", "checkpoints_dir")
    parser.add_argument("id", metavar="ID", help="of a tool call or an attempt, or an entry's index")
    parser.add_argument(
        "--entry",
        type=int,
        metavar="INDEX",
        help="this entry of it alone; else the latest of each attempt, as the receipt names them",
    )
    parser.add_argument("-o", "--out", type=Path, metavar="PATH", help="a new file, or a folder for one file each")


def _run(arguments: Namespace) -> int:
    settings = read_settings(arguments).settings
    reading = Reading(settings.data_dir)
    try:
        indexes = _indexes(reading, arguments)
        vouched = _vouched(reading, settings, max(indexes) + 1)
        proofs = {index: proof_of(reading, vouched, index) for index in indexes}
    finally:
        reading.close()
    _write(proofs, arguments.out)
    for index in indexes:
        shown, _ = told(vouched, index)
        sys.stderr.write(f"{shown}\n")
    sys.stderr.write(f"{told(vouched, 0)[1]}\n")
    sys.stderr.write(f"To check it anywhere: exai ledger verify FILE --key {vouched.verifier.text}\n")
    return 0


def _indexes(reading: Reading, arguments: Namespace) -> list[int]:
    lines = find(reading, arguments.id)
    if arguments.entry is None:
        return latest_of_each(lines)
    indexes = [line.index for line in lines]
    if arguments.entry not in indexes:
        raise ActionError(
            f"entry {arguments.entry} does not belong to {arguments.id}",
            remedy=f"Name one of {', '.join(map(str, indexes))}, or give the index alone as ID.",
        )
    return [arguments.entry]


def _vouched(reading: Reading, settings: Settings, size: int) -> Vouched:
    vouched, why = covering(Checkpoints(settings.checkpoints), reading.head().origin, size)
    if why is not None or vouched is None:
        said = "none is kept" if why is None else why.message
        remedy = "" if why is None else why.remedy
        raise StoreError(f"no signed checkpoint covers the entry yet: {said}", remedy=remedy) from why
    return vouched


def _write(proofs: dict[int, str], out: Path | None) -> None:
    if out is None:
        if len(proofs) > 1:
            raise ActionError(
                f"the call has several attempts, so there are proofs of {len(proofs)} entries",
                remedy=f"Name a folder with -o, or one with --entry: {', '.join(map(str, proofs))}.",
            )
        sys.stdout.write("".join(proofs.values()))
        sys.stdout.flush()
        return
    several = out.is_dir() or len(proofs) > 1
    try:
        if several:
            out.mkdir(exist_ok=True)
        for index, text in proofs.items():
            path = out / f"{index}{SUFFIX}" if several else out
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            sys.stdout.write(f"{path}\n")
    except OSError as error:
        raise ActionError(
            f"{out} cannot be written: {error.strerror}",
            remedy="Name a new file, or a folder without such a file.",
        ) from error


COMMAND = Command(
    name="ledger-prove",
    summary="write a proof that an entry is in the signed log, to be checked offline",
    arguments=_arguments,
    run=_run,
)
