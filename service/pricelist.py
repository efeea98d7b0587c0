"""The price list: our rows, and the operator's on top of them."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from service.core.pricing import PriceTable, PriceTableError, Row, parse_rows
from service.errors import SettingsError

FILE_NAME = "prices.toml"


def load_prices(override: Path | None = None) -> PriceTable:
    """Read the price table in force.

    Args:
        override: a file of `[[price]]` rows. A model that it names on a host loses our rows there.

    Raises:
        SettingsError: the file cannot be read, or holds a row that cannot be used.
    """
    ours = parse_rows(tomllib.loads(resources.files("service").joinpath(FILE_NAME).read_text("utf-8")))
    theirs = () if override is None else _rows(override)
    replaced = {_model(row) for row in theirs}
    try:
        return PriceTable([*(row for row in ours if _model(row) not in replaced), *theirs])
    except PriceTableError as error:
        raise _refused(override, error) from error


def _rows(path: Path) -> tuple[Row, ...]:
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return parse_rows(document)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, PriceTableError) as error:
        raise _refused(path, error) from error


def _model(row: Row) -> tuple[str, str, str]:
    return row.provider, row.host, row.model


def _refused(path: Path | None, error: Exception) -> SettingsError:
    return SettingsError(
        f"{path or FILE_NAME}: {error}",
        remedy="Correct the row, or unset EXAI_PRICES. The format is described in service/core/README.md.",
    )
