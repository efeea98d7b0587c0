"""`exai token revoke`: a client's token counts no more, and its connections are closed."""

import sys
from argparse import ArgumentParser, Namespace

from service.actions.token_revoke import ACTION, TokenRevoke, TokenRevoked
from service.cli._acting import act, add_place
from service.cli._command import Command


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("name", help="of the token, as exai token list shows it")


def _run(arguments: Namespace) -> int:
    gone, _ = act(arguments, ACTION, TokenRevoke(name=arguments.name))
    sys.stdout.write(f"{_told(gone)}\n")
    sys.stdout.flush()
    return 0


def _told(gone: TokenRevoked) -> str:
    which = ", ".join(f"{fingerprint}…" for fingerprint in gone.fingerprints)
    match gone.connections_closed:
        case None:
            then = "No service runs here, so no connection is open."
        case 0:
            then = "It had no connection open."
        case 1:
            then = "Its one open connection is closed; calls in flight run on and are recorded."
        case many:
            then = f"Its {many} open connections are closed; calls in flight run on and are recorded."
    return f"The token {gone.name} ({which}) is revoked. {then}"


COMMAND = Command(
    name="token-revoke",
    summary="end a client's token and close its connections",
    arguments=_arguments,
    run=_run,
)
