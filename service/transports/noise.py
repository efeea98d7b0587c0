"""The server's own log, bounded: what strangers send malformed is one line a second, without their bytes."""

import logging

from aiohttp.http import HttpProcessingError

from service.serving.quiet import QuietLog


def server_log(quiet: QuietLog) -> logging.Logger:
    """Make aiohttp's logger for one runner: a child of its usual one, which nobody else can reach.

    aiohttp logs a traceback, with the bytes that came, for each request it cannot read. Faults of ours pass
    as they are.

    Args:
        quiet: where malformed requests are told.
    """

    def keep(record: logging.LogRecord) -> bool:
        is_malformed = record.exc_info is not None and isinstance(record.exc_info[1], HttpProcessingError)
        if is_malformed:
            quiet.warn("a malformed request is refused")
        return not is_malformed

    log = logging.Logger("aiohttp.server")  # noqa: LOG001 - a filter on the shared logger would outlive the runner
    log.parent = logging.getLogger("aiohttp.server")
    log.addFilter(keep)
    return log
