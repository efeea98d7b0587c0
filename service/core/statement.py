"""A provider's statement: a stranger's CSV, read by the legend that its owner gives. Nothing in it is trusted."""

import csv
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from decimal import Decimal

import msgspec

from service.core.legend import Columns, Legend, Meaning, guessed, places_of, shown
from service.core.money import PICO_DIGITS, PICO_PER_UNIT, pico
from service.core.ranges import find_zone
from service.core.times import NS_PER_S, utc_ns
from service.errors import InvalidArgumentsError, StatementError

BODY_BYTES_MAX = 64 * 1024 * 1024
ROWS_MAX = 200_000
COLUMNS_MAX = 200
COMPLAINTS_MAX = 5
TOKENS_MAX = 10**15
UNIX_S_MAX = 10**11
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(
    r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|-?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?"
)
_CURRENCY = re.compile(r"[A-Z]{3}")
_UNIX = {"unix": NS_PER_S, "unix_ms": NS_PER_S // 1000}


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement says of one request; None is not stated.

    Attributes:
        lines: numbers of its lines in the file; several where it lists a request in parts, which are added up.
        step_pico: the last digit that its amount is written with; what is below it was rounded.
    """

    lines: tuple[int, ...]
    request_id: str | None
    at_ns: int | None
    model: str | None
    input_tokens: int | None
    cached_input_tokens: int | None
    output_tokens: int | None
    amount_pico: int | None
    step_pico: int
    currency: str | None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """A statement as it was understood.

    Attributes:
        columns: the names that were used.
        rows: in the file's order.
    """

    encoding: str
    columns: Columns
    meaning: Meaning
    rows: tuple[StatementRow, ...]

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """The first and the last time in it; None if it holds none."""
        times = [row.at_ns for row in self.rows if row.at_ns is not None]
        return (min(times), max(times)) if times else None


def read_statement(body: bytes, legend: Legend) -> Statement:
    """Read a statement.

    Raises:
        StatementError: too large, no text, no such columns, or cells that are not what they must be; the message
            names lines and columns.
    """
    text, encoding = _decoded(body)
    lines = _cells(text, legend.meaning.delimiter)
    try:
        _, header = next(lines)
    except StopIteration:
        raise StatementError("the statement is empty", remedy="It must begin with a line of names.") from None
    columns = guessed(header) if legend.columns is None else legend.columns
    places = places_of(header, columns)
    reader = _Reader(places, columns, legend.meaning)
    rows = [row for number, cells in lines if (row := reader.row(number, cells)) is not None]
    reader.refuse()
    return Statement(encoding=encoding, columns=columns, meaning=legend.meaning, rows=tuple(_joined(rows)))


def _decoded(body: bytes) -> tuple[str, str]:
    if len(body) > BODY_BYTES_MAX:
        raise StatementError(f"the statement is larger than {BODY_BYTES_MAX} bytes", remedy="Split it by days.")
    for encoding in ("utf-16",) if body.startswith(_BOM_16) else ("utf-8-sig", "gb18030"):
        try:
            text = body.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise StatementError(
        "the statement is no text in UTF-8, UTF-16 or GB18030",
        remedy="Save it as CSV in UTF-8; a workbook is none.",
    )


def _cells(text: str, delimiter: str | None) -> Iterator[tuple[int, list[str]]]:
    """Give (number of its last line, cells) of each row that is not blank."""
    first = text.partition("\n")[0]
    if delimiter is None:
        delimiter = max(_DELIMITERS, key=first.count)
    elif len(delimiter) != 1 or delimiter in '"\r\n':
        raise StatementError(f"{delimiter!r} cannot stand between cells", remedy="A delimiter is one character.")
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=delimiter, strict=True)
    found = 0
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            found += 1
            if found > ROWS_MAX + 1 or len(cells) > COLUMNS_MAX:
                raise StatementError(
                    f"line {reader.line_num}: more than {ROWS_MAX} rows or {COLUMNS_MAX} columns",
                    remedy="Split the statement by days.",
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise StatementError(
            f"line {reader.line_num} is no line of a CSV: {error}",
            remedy="Save it as CSV again, or correct the line.",
        ) from error


class _Reader:
    """Reads rows, and gathers what is wrong with them."""

    def __init__(self, places: dict[str, int], columns: Columns, meaning: Meaning) -> None:
        self._places = places
        self._columns = columns
        self._meaning = meaning
        self._zone: tzinfo | None = None
        self._complaints: list[str] = []
        self._wrong = 0
        if meaning.zone is not None:
            try:
                self._zone = find_zone(meaning.zone)
            except InvalidArgumentsError as error:
                raise StatementError(error.message, remedy=error.remedy) from error
        if "amount" in places and "currency" not in places and meaning.currency is None:
            raise StatementError(
                "the statement has amounts, and nothing says of which currency",
                remedy='Say --currency CNY, or currency = "CNY" under [meaning] of the file of columns.',
            )

    def row(self, number: int, cells: Sequence[str]) -> StatementRow | None:
        """Read a row; None if it is wrong."""
        said = {field: cells[at].strip() if at < len(cells) else "" for field, at in self._places.items()}
        try:
            return self._row(number, said)
        except _CellError as error:
            self._wrong += 1
            if len(self._complaints) < COMPLAINTS_MAX:
                column = getattr(self._columns, error.field) or error.field
                self._complaints.append(f"line {number}, {shown(column)}: {shown(said[error.field])} {error.why}")
            return None

    def refuse(self) -> None:
        """Refuse the statement if a row was wrong: half of one would compare as a gap."""
        if self._wrong:
            more = self._wrong - len(self._complaints)
            rest = f"; and {more} more" if more else ""
            raise StatementError(
                f"{'; '.join(self._complaints)}{rest}", remedy="Correct the file, or name other columns."
            )

    def _row(self, number: int, said: dict[str, str]) -> StatementRow:
        amount, step = _number(said["amount"], "amount") if said.get("amount") else (None, 0)
        currency = said.get("currency", "").upper() or self._meaning.currency
        if amount is not None and (currency is None or not _CURRENCY.fullmatch(currency)):
            raise _CellError("currency" if "currency" in said else "amount", "is no ISO 4217 currency code")
        return StatementRow(
            lines=(number,),
            request_id=said.get("request_id") or None,
            at_ns=self._time(said),
            model=said.get("model") or None,
            input_tokens=_tokens(said, "input_tokens"),
            cached_input_tokens=_tokens(said, "cached_input_tokens"),
            output_tokens=_tokens(said, "output_tokens"),
            amount_pico=amount,
            step_pico=step,
            currency=None if amount is None else currency,
        )

    def _time(self, said: dict[str, str]) -> int | None:
        text, per_unit = said.get("time"), _UNIX.get(self._meaning.format)
        if not text:
            return None
        if per_unit is not None:
            since, _ = _number(text, "time")
            at_ns: int = since * per_unit // PICO_PER_UNIT
            if not 0 <= at_ns <= UNIX_S_MAX * NS_PER_S:
                raise _CellError("time", f"is no time of the format {self._meaning.format}")
            return at_ns
        moment = self._moment(text)
        if moment.tzinfo is None and self._zone is None:
            raise _CellError(
                "time", "names no time zone; say whose time it is with --zone, or zone under [meaning]"
            )
        return utc_ns((moment if moment.tzinfo else moment.replace(tzinfo=self._zone)).isoformat())

    def _moment(self, text: str) -> datetime:
        wanted = self._meaning.format
        try:
            return datetime.fromisoformat(text) if wanted == "iso" else datetime.strptime(text, wanted)  # noqa: DTZ007 - its zone follows
        except (ValueError, OverflowError):
            raise _CellError("time", f"is no time of the format {shown(wanted)}") from None


class _CellError(Exception):
    """A cell that is not what its column must hold."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why


def _number(text: str, field: str) -> tuple[int, int]:
    """Read a number as (pico-units, pico-units of its last digit)."""
    if not _NUMBER.fullmatch(text):
        raise _CellError(field, "is no number")
    number = Decimal(text.replace(",", ""))
    whole, _, fraction = f"{number:f}".partition(".")
    fraction = fraction.rstrip("0")
    try:
        exact = pico(f"{whole}.{fraction}" if fraction else whole)
    except ValueError:
        raise _CellError(field, f"has more than 18 digits or more than {PICO_DIGITS} decimals") from None
    decimals = -int(number.as_tuple().exponent)
    return exact, 10 ** min(PICO_DIGITS, max(0, PICO_DIGITS - decimals))


def _tokens(said: dict[str, str], field: str) -> int | None:
    text = said.get(field)
    if not text:
        return None
    exact, _ = _number(text, field)
    count: int = exact // PICO_PER_UNIT
    if exact % PICO_PER_UNIT or not 0 <= count <= TOKENS_MAX:
        raise _CellError(field, "is no count of tokens")
    return count


def _joined(rows: Sequence[StatementRow]) -> Iterator[StatementRow]:
    """Add up rows of one request id, as where each class of tokens has a line of its own."""
    by_id: dict[str, list[StatementRow]] = {}
    for row in rows:
        if row.request_id is not None:
            by_id.setdefault(row.request_id, []).append(row)
    for row in rows:
        parts = [row] if row.request_id is None else by_id.pop(row.request_id, [])
        if len({part.currency for part in parts if part.currency is not None}) > 1:
            yield from parts
        elif parts:
            yield _sum(parts)


def _sum(parts: Sequence[StatementRow]) -> StatementRow:
    def added(field: str) -> int | None:
        known: list[int] = [getattr(part, field) for part in parts if getattr(part, field) is not None]
        return sum(known) if known else None

    first = parts[0]
    if len(parts) == 1:
        return first
    return StatementRow(
        lines=tuple(line for part in parts for line in part.lines),
        request_id=first.request_id,
        at_ns=first.at_ns,
        model=first.model,
        input_tokens=added("input_tokens"),
        cached_input_tokens=added("cached_input_tokens"),
        output_tokens=added("output_tokens"),
        amount_pico=added("amount_pico"),
        step_pico=sum(part.step_pico for part in parts),
        currency=next((part.currency for part in parts if part.currency is not None), None),
    )
