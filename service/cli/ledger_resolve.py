"""`exai ledger resolve`: what became of an attempt in doubt, by whose word and why; nothing is held then."""

import sys
from argparse import ArgumentParser, Namespace

import msgspec

from service.actions._action import somebody
from service.actions.ledger_resolve import ACTION, LedgerResolve, LedgerResolved, told
from service.cli._acting import act, add_place
from service.cli._command import Command, read_settings
from service.core.words import ResolutionOutcome
from service.ledger.reading import Reading
from service.ledger.resolving import attempt_in_doubt, resolution


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("id", help="of the attempt in doubt, or of a tool call that has no other")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--cost", nargs=2, metavar=("AMOUNT", "CURRENCY"), help="what the provider billed, as 0.0125 USD"
    )
    what.add_argument("--not-billed", action="store_true", help="the provider billed nothing for it")
    what.add_argument("--write-off", action="store_true", help="nobody will ever know; free what is held")
    parser.add_argument("--tokens", type=int, metavar="COUNT", help="tokens consumed in all, if known")
    parser.add_argument(
        "--why", required=True, metavar="TEXT", help="by what you know it; written down with your name"
    )
    parser.add_argument(
        "--above-bound", action="store_true", help="even if it is more than the attempt can have cost"
    )
    parser.add_argument("--dry-run", action="store_true", help="show it, and write nothing")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    asked = _asked(arguments)
    done = _look(arguments, asked)  # what is refused here costs no epoch
    if not arguments.dry_run:
        done, _ = act(arguments, ACTION, asked)
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(done), indent=2) + b"\n")
    else:
        sys.stdout.write(_told(done))
    sys.stdout.flush()
    return 0


def _asked(arguments: Namespace) -> LedgerResolve:
    amount, currency = arguments.cost or ("0" if arguments.not_billed else None, None)
    return LedgerResolve(
        id=arguments.id,
        outcome=ResolutionOutcome.WRITTEN_OFF if arguments.write_off else ResolutionOutcome.RECONCILED,
        amount=amount,
        currency=currency,
        tokens=arguments.tokens,
        why=arguments.why,
        above_bound=arguments.above_bound,
    )


def _look(arguments: Namespace, asked: LedgerResolve) -> LedgerResolved:
    reading = Reading(read_settings(arguments).settings.data_dir)
    try:
        attempt = attempt_in_doubt(reading, asked.id)
    finally:
        reading.close()
    return told(attempt, resolution(attempt, asked, by=somebody()), index=None)


def _told(done: LedgerResolved) -> str:
    held, guess = done.held, done.estimate
    most = "an unknown amount" if held.amount is None else f"at most {held.amount} {held.currency}"
    guessed = "" if guess is None or guess.amount is None else f"; estimated at {guess.amount} {guess.currency}"
    if done.amount is None:
        became = "written off: what it cost stays unknown and is no longer held"
    else:
        tokens = "" if done.tokens is None else f" for {done.tokens} tokens"
        became = f"reconciled: it cost {done.amount} {done.currency}{tokens}"
    where = "Nothing was written." if done.index is None else f"Entry {done.index}."
    return (
        f"Attempt {done.attempt_id} of tool call {done.tool_call_id}\n"
        f"  asked {done.provider} for {done.model} with {done.wallet} at {done.started_at}\n"
        f"  in doubt: {done.doubt.replace('_', ' ')}\n"
        f"  held: {most}, {held.input_tokens + held.output_tokens} tokens{guessed}\n"
        f"  {became}\n"
        f"  by {done.by}: {done.why}\n"
        f"{where}\n"
    )


COMMAND = Command(
    name="ledger-resolve",
    summary="say what became of an attempt in doubt",
    arguments=_arguments,
    run=_run,
)
