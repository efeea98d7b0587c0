"""`exai health`: whether the service takes calls, asked as anybody would; the exit status is the answer.

A container's engine asks every few seconds. So this file can be run by itself, `python -m service.cli.health`,
without loading what the other commands need.
"""

import http.client
import sys
from argparse import ArgumentParser, Namespace
from urllib.parse import urlsplit

import msgspec

from service.cli._command import Command, add_settings, read_settings
from service.errors import ExaiError, SettingsError
from service.settings import Settings

_PATH = "/health/ready"
_TIMEOUT_S = 3.0
_ANSWER_BYTES_MAX = 64 * 1024
_NOT_READY = 1


def _arguments(parser: ArgumentParser) -> None:
    add_settings(parser, "host", "port", "health_port")


def _run(arguments: Namespace) -> int:
    root = _root(read_settings(arguments).settings)
    try:
        status, said = _ask(root)
    except (OSError, http.client.HTTPException) as error:
        status, said = 0, f"not ready\nNobody answers at {root}{_PATH}: {str(error) or type(error).__name__}\n"
    sys.stdout.write(said)
    return 0 if status == http.client.OK else _NOT_READY


def _root(settings: Settings) -> str:
    """Say where the service must be listening on this machine, whatever its public address is."""
    port = settings.port if settings.health_port is None else settings.health_port
    if not port:
        raise SettingsError("the port is 0: any free one was taken", remedy="Say which: exai health --port PORT")
    return msgspec.structs.replace(settings, public_url=None).url(port)


def _ask(root: str) -> tuple[int, str]:
    authority = urlsplit(root)
    asked = http.client.HTTPConnection(authority.hostname or "", authority.port, timeout=_TIMEOUT_S)
    try:
        asked.request("GET", _PATH, headers={"Accept": "text/plain"})
        answer = asked.getresponse()
        return answer.status, answer.read(_ANSWER_BYTES_MAX).decode("utf-8", "replace")
    finally:
        asked.close()


COMMAND = Command(
    name="health",
    summary="ask the running service whether it takes calls, and if not, why",
    arguments=_arguments,
    run=_run,
)


def main() -> int:
    """Ask with the settings of the environment alone; give the exit status."""
    try:
        parser = ArgumentParser(prog="exai health", description=COMMAND.summary)
        _arguments(parser)
        return _run(parser.parse_args())
    except ExaiError as error:
        sys.stdout.write(f"{error.message}\n{error.remedy}\n")
        return _NOT_READY


if __name__ == "__main__":
    sys.exit(main())
