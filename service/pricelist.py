"""The price list: our rows, and the operator's on top of them. A row that cannot be used refuses the start."""

import re
import tomllib
from importlib import resources
from pathlib import Path

from service import providers
from service.core.pricing import PriceTable, PriceTableError, Row, parse_rows
from service.core.redact import redacted
from service.core.shapes import Provider
from service.errors import SettingsError
from service.plugs import load

FILE_NAME = "prices.toml"
_FILE_BYTES_MAX = 1 << 20
_REAL_KEY = "real"
_HEADER = re.compile(r"""[ \t]*\[\[[ \t]*["']?price["']?[ \t]*\]\]""")


def load_prices(override: Path | None = None) -> PriceTable:
    """Read the price table in force.

    Args:
        override: a file of `[[price]]` rows. A model that it names on a host loses our rows there.

    Raises:
        SettingsError: the file cannot be read, or holds a row that cannot be used. The text names the file
            and, as far as they can be known, the row and its line.
    """
    ours = parse_rows(tomllib.loads(resources.files("service").joinpath(FILE_NAME).read_text("utf-8")))
    theirs = () if override is None else _rows(override)
    replaced = {_model(row) for row in theirs}
    return PriceTable([*(row for row in ours if _model(row) not in replaced), *theirs])


def _rows(path: Path) -> tuple[Row, ...]:
    """Read the operator's rows."""
    text = _text(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a plain ValueError
        remedy = "Repair the line that it names, or what is not closed before the end"
        raise _refused(str(path), f"this is no TOML: {error}", remedy) from error
    try:
        rows = parse_rows(document)
        _check_hosts(rows)
    except PriceTableError as error:
        begins = _begins(text, document.get("price"))
        lines = " and ".join(str(begins[place]) for place in error.places if begins)
        where = f"{path} line {lines}" if lines else str(path)
        raise _refused(where, str(error), "Correct the row") from error
    return rows


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _refused(str(path), f"cannot be read: {error.strerror}", "Check its name and rights") from error
    if len(content) > _FILE_BYTES_MAX:
        raise _refused(str(path), f"longer than {_FILE_BYTES_MAX} bytes", "Name the right file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(f"{path} line {line}", "this is no UTF-8 text", "Save it as UTF-8") from None


def _check_hosts(rows: tuple[Row, ...]) -> None:
    """Refuse a row that could never hold: for a host that no provider has, or in a currency it does not bill."""
    known: dict[str, Provider] = load(providers, "PROVIDER")
    for place, row in enumerate(rows):
        provider = known.get(row.provider)
        if provider is None:
            names = ", ".join(known)
            raise PriceTableError(f"price row {row.label}: no such provider; known are {names}", (place,))
        if provider.price_host(row.host, _REAL_KEY) != row.host:
            raise PriceTableError(
                f"price row {row.label}: {provider.title} is not known to bill by the host {row.host!r}", (place,)
            )
        billed = provider.currency(row.host)
        if row.currency != billed:
            raise PriceTableError(
                f"price row {row.label}: the host {row.host} bills in {billed}, not in {row.currency}", (place,)
            )


def _begins(text: str, price: object) -> list[int]:
    """Find the line on which each row begins; none is known where rows were not all written under a header."""
    headers = [number for number, line in enumerate(text.split("\n"), 1) if _HEADER.match(line)]
    return headers if isinstance(price, list) and len(headers) == len(price) else []


def _model(row: Row) -> tuple[str, str, str]:
    return row.provider, row.host, row.model


def _refused(where: str, why: str, remedy: str) -> SettingsError:
    return SettingsError(
        f"{where}: {redacted(why)}",
        remedy=f"{remedy}, or unset EXAI_PRICES. The format is described in service/core/README.md.",
    )
