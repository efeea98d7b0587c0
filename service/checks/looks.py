"""All looks together, each taken anew whenever somebody asks. One that cannot be taken says so."""

import logging
from collections.abc import Callable, Sequence

from service.web.health import Check, State

Look = Callable[[], Sequence[Check]]

_log = logging.getLogger(__name__)


def every(**looks: Look) -> Look:
    """Put looks together; the name of one stands for its checks when it fails."""
    return lambda: tuple(check for name, look in looks.items() for check in _taken(name, look))


def _taken(name: str, look: Look) -> Sequence[Check]:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever keeps a look from being taken is what must be told
        _log.exception("a check could not be made", extra={"check": name})
        sentence = f"This could not be looked at ({type(error).__name__}); see the service's log."
        return (Check(name=name, state=State.DEGRADED, sentence=sentence),)
