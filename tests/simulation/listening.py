"""What the service writes to its own log while a world runs: no secret, and no fault that nobody provoked."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Beginnings of what the faults of these worlds ask for. Any other warning is a fault of the service.
_EXPECTED = (
    "budget ",
    "the ledger cannot write any more",
    "the disk of the ledger",
    "an answer could not be kept for its idempotency key",
    "the epoch's end could not be written",
)


class StrangeError(Exception):
    """A fault that a world throws where the service must expect any."""


class _Ear(logging.Handler):
    def __init__(self, wrong: list[str], secrets: Sequence[bytes]) -> None:
        super().__init__()
        self._wrong = wrong
        self._secrets = [secret.decode() for secret in secrets]
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        why = "" if record.exc_info is None else self._formatter.formatException(record.exc_info)
        if any(secret in f"{said} {record.__dict__} {why}" for secret in self._secrets):
            self._wrong.append(f"I8: the service's log holds a secret: {said[:80]}")
        provoked = record.exc_info is not None and isinstance(record.exc_info[1], StrangeError)
        if record.levelno >= logging.WARNING and not provoked and not said.startswith(_EXPECTED):
            self._wrong.append(f"the service's log: {said} {why}")


@contextmanager
def listening(wrong: list[str], secrets: Sequence[bytes]) -> Iterator[None]:
    """Listen to every logger of the service, alone: who else listens would be told of thousands of faults."""
    logger = logging.getLogger("service")
    ear, before = _Ear(wrong, secrets), (logger.propagate, logger.level)
    logger.addHandler(ear)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate, level = before
        logger.setLevel(level)
