"""`exai budget remove`: a budget stops nothing any more; what it said stays in the ledger."""

import sys
from argparse import ArgumentParser, Namespace

from console.limits import sentence
from service.actions.budget_remove import ACTION, BudgetRemove
from service.cli._acting import act, add_place
from service.cli._command import Command


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("name", help="of the budget, as exai budget list shows it")


def _run(arguments: Namespace) -> int:
    gone, by_the_service = act(arguments, ACTION, BudgetRemove(name=arguments.name))
    when = "from the next attempt on" if by_the_service else "from the next start on"
    sys.stdout.write(
        f"The budget {gone.terms.name} stops nothing {when}. It was: {sentence(gone.terms)}"
        f" Entry {gone.index} says so.\n"
    )
    sys.stdout.flush()
    return 0


COMMAND = Command(
    name="budget-remove",
    summary="let a budget hold no more",
    arguments=_arguments,
    run=_run,
)
