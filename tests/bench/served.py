"""The case: the whole service, or without one of its features, to show what that one costs.

What is switched off here cannot be switched off by an operator.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from service import app
from service.calling.connection import Connection
from service.cli._memory import settle
from service.core.receipt import Receipt
from service.ledger.sqlite import SqliteStore
from service.ledger.store import Rows
from service.secret import Secret
from service.settings import Settings, WalletSource

READING_S = 300.0


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _fsync() -> None:
    begin = SqliteStore._begin_epoch

    def careless(store: Any, new_origin: str) -> tuple[str, int]:  # noqa: ANN401 - the store's own class
        store._connection.pragma("synchronous", "OFF")
        return begin(store, new_origin)

    patch.object(SqliteStore, "_begin_epoch", careless).start()


def _rows() -> None:
    patch("service.ledger.writer.rows", lambda _steps: Rows((), (), ())).start()


def _reuse() -> None:
    patch.object(Connection, "is_quiet", property(lambda _connection: False)).start()


def _schema() -> None:
    patch("service.serving.admission.next", lambda *_: None, create=True).start()


def _receipt() -> None:
    told = dict.fromkeys(Receipt.__struct_fields__)
    patch("service.serving.calls.ToolCalls._receipt", lambda *_: told).start()


def _spans() -> None:
    patch("otel.listening.SpanListener.take", _nothing).start()


def _metrics() -> None:
    patch("otel.listening.MetricsListener.take", _nothing).start()


def _readings() -> None:
    """Ask no counter, judge no window and verify no signature."""
    patch("service.proving.proving.Proving.run", _rest).start()


async def _rest(_proving: object) -> None:
    """Do nothing."""


FEATURES: dict[str, Callable[[], None]] = {
    "spans": _spans,
    "metrics": _metrics,
    "fsync": _fsync,
    "read-models": _rows,
    "connection-reuse": _reuse,
    "argument-schema": _schema,
    "receipt": _receipt,
    "readings": _readings,
}


async def main(upstream: str, folder: Path, reading_s: float) -> None:
    """Serve until killed; the port is the first line said."""
    key = Secret(f"sim-rich-bench-{os.getpid()}")  # of its own: another one's calls would move its balance
    source = WalletSource(provider="kimi", base_url=upstream, key=key)
    settings = Settings(
        port=0,
        data_dir=folder,
        wallets=(source,),
        reading_interval_s=reading_s,
        calls_in_flight_max=256,
        client_calls_in_flight_max=256,
    )
    async with app.running(settings, environ=os.environ) as service:
        settle()
        sys.stdout.write(f"{service.url.rpartition(':')[2]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("upstream")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reading-s", type=float, default=READING_S, help="between readings of the counters")
    parser.add_argument("without", nargs="*", choices=[[], *FEATURES])
    arguments = parser.parse_args()
    for feature in arguments.without:
        FEATURES[feature]()
    asyncio.run(main(arguments.upstream, arguments.folder, arguments.reading_s))
