"""`exai budget set`: what may be used up, of what and by whom; it holds for the next attempt."""

import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace

import msgspec

from console.limits import sentence
from service.actions.budget_set import ACTION, BudgetSet, BudgetStands
from service.cli._acting import act, add_place
from service.cli._command import Command
from service.core.budget import FILTERS
from service.core.words import BudgetPeriod


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("name", help="of the budget; if there is one, what is not said here stays as it is")
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="AMOUNT",
        help="'5 USD', '30 CNY' or '100000 tokens'; may come again",
    )
    parser.add_argument("--per", choices=[*BudgetPeriod], help="when the limit begins anew; total: never")
    parser.add_argument("--zone", help="whose days and months, as Asia/Kolkata; that of the wallets if not given")
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only attempts of this {name}")
    parser.add_argument(
        "--each",
        action="extend",
        nargs="+",
        choices=FILTERS,
        help="every value of it has the whole limit for itself",
    )
    parser.add_argument(
        "--allow-unknown-price",
        action=BooleanOptionalAction,
        help="let attempts pass whose price is not known; else a limit in money stops them",
    )
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    asked = BudgetSet(
        name=arguments.name,
        limits=tuple(arguments.limit),
        period=arguments.per,
        zone=arguments.zone,
        each=None if arguments.each is None else tuple(arguments.each),
        allow_unknown_price=arguments.allow_unknown_price,
        **{name: getattr(arguments, name) for name in FILTERS},
    )
    stands, by_the_service = act(arguments, ACTION, asked)
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(stands), indent=2) + b"\n")
    else:
        sys.stdout.write(_told(stands, by_the_service=by_the_service))
    sys.stdout.flush()
    for warning in stands.warnings:
        sys.stderr.write(f"exai: {warning}\n")
    return 0


def _told(stands: BudgetStands, *, by_the_service: bool) -> str:
    lines = [f"Budget {stands.terms.name}: {sentence(stands.terms)}"]
    if stands.index is None:
        return f"{lines[0]} So it was before; nothing was written.\n"
    if stands.before is not None:
        lines.append(f"It was: {sentence(stands.before)}")
    when = "from the next attempt on." if by_the_service else "from the next start on: no service runs here."
    lines.append(f"It holds {when} Entry {stands.index} says so.")
    return "\n".join([*lines, ""])


COMMAND = Command(
    name="budget-set",
    summary="bound what may be used up in a minute, a day, a month or in all",
    arguments=_arguments,
    run=_run,
)
