"""`exai token create`: a token for one client, with a name, rights and perhaps an end; it is shown once."""

import sys
from argparse import ArgumentParser, Namespace

import msgspec

from service.actions.token_create import ACTION, TokenCreate, TokenCreated
from service.cli._acting import act, add_place
from service.cli._command import Command
from service.core.token import CALL, SCOPES


def _arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--name", required=True, help="the client's name in every record, as ci or annas-laptop")
    parser.add_argument(
        "--scopes",
        default=CALL,
        metavar="WORDS",
        help=f"any of {','.join(SCOPES)}, with commas; {CALL} if not given",
    )
    parser.add_argument("--expires", metavar="TIME", help="30d, 12h or 2027-01-01T00:00:00Z; never if not given")
    parser.add_argument("--format", choices=["text", "json"], default="text", help="how to write it")


def _run(arguments: Namespace) -> int:
    scopes = tuple(filter(None, (word.strip() for word in arguments.scopes.split(","))))
    asked = TokenCreate(name=arguments.name, scopes=scopes, expires=arguments.expires)
    made, by_the_service = act(arguments, ACTION, asked)
    if arguments.format == "json":
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
        sys.stdout.flush()
    else:
        sys.stdout.write(f"{made.token}\n")
    sys.stdout.flush()
    sys.stderr.write(_told(made, by_the_service=by_the_service))
    return 0


def _told(made: TokenCreated, *, by_the_service: bool) -> str:
    until = "It never expires" if made.expires_at is None else f"It expires at {made.expires_at}"
    since = (
        "It counts from now on." if by_the_service else "No service runs here: it counts from the next start on."
    )
    return (
        f"This token of {made.name} ({', '.join(made.scopes)}) is shown once and kept nowhere. {until}. {since}\n"
        "Clients send it in the header: Authorization: Bearer TOKEN\n"
        f"To end it: exai token revoke {made.name}\n"
    )


COMMAND = Command(
    name="token-create",
    summary="make a token for one client; it is shown once",
    arguments=_arguments,
    run=_run,
)
