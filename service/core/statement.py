"""A provider's statement: a stranger's CSV, read by the legend that its owner gives. Nothing in it is trusted."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
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
TIME_NS_MAX = 10**11 * NS_PER_S
STEP_PICO_MAX = PICO_PER_UNIT // 100
"""No amount is taken to be rounded more than this, however few digits are written."""
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(
    r"-?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?|-?[0-9]{1,18}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?"
)
_COMMA_DECIMALS = re.compile(r"-?[0-9]+(?:\.[0-9]{3})*,[0-9]+")
_OTHER_DECIMALS = str.maketrans(",.", ".,")
_HOUR = re.compile(r"%[HIcX]")
_CURRENCY = re.compile(r"[A-Z]{3}")
_UNIX = {"unix": NS_PER_S, "unix_ms": NS_PER_S // 1000}
_CORRECT = "Correct the file, or name other columns."
_SAY_CURRENCY = "Say --currency USD or --currency CNY, or currency under [meaning] of the file of columns."
_SAY_DECIMAL = 'If a comma stands before decimals, say decimal = "," under [meaning] of the file of columns.'
_SAY_FORMAT = 'Say its format under [meaning] of the file of columns, as format = "%d.%m.%Y %H:%M", or unix.'
_SAY_ZONE = "Say whose time it is: --zone Asia/Shanghai, or zone under [meaning] of the file of columns."
_CORRECT_OF = {"amount": f"{_CORRECT} An amount bears no sign of its currency.", "time": _SAY_FORMAT}


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement says of one request; None is not stated.

    Attributes:
        lines: numbers of its lines in the file; several where it lists a request in parts, which are added up.
        lasts_ns: how long the time lasts that is stated: its day where that is a date alone, else 0.
        step_pico: the last digit that amounts are written with; what is below it was rounded. It is the finest
            of all amounts of that currency, for many sheets leave trailing zeros out; STEP_PICO_MAX at most.
    """

    lines: tuple[int, ...]
    request_id: str | None
    at_ns: int | None
    lasts_ns: int = 0
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
        steps_pico: the last digit of the amounts of each currency.
    """

    encoding: str
    columns: Columns
    meaning: Meaning
    rows: tuple[StatementRow, ...]
    steps_pico: Mapping[str, int]

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """The first and the last time in it, to the end of the last day; None if it holds none."""
        times = [(row.at_ns, row.at_ns + row.lasts_ns) for row in self.rows if row.at_ns is not None]
        return (min(begin for begin, _ in times), max(end for _, end in times)) if times else None


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
    steps = _steps(rows)
    return Statement(
        encoding=encoding,
        columns=columns,
        meaning=legend.meaning,
        rows=tuple(_joined([_stepped(row, steps) for row in rows])),
        steps_pico=steps,
    )


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
    text = text.replace("\r\n", "\n").replace("\r", "\n")
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
        self._has_hours = bool(_HOUR.search(meaning.format.replace("%%", "")))
        self._currency = None if meaning.currency is None else meaning.currency.upper()
        self._complaints: list[str] = []
        self._remedies: dict[str, None] = {}
        self._wrong = 0
        if meaning.zone is not None:
            try:
                self._zone = find_zone(meaning.zone)
            except InvalidArgumentsError as error:
                raise StatementError(error.message, remedy=error.remedy) from error
        if self._currency is not None and not _CURRENCY.fullmatch(self._currency):
            raise StatementError(
                f"{shown(meaning.currency or '')} is no ISO 4217 currency code", remedy=_SAY_CURRENCY
            )
        if "amount" in places and "currency" not in places and self._currency is None:
            raise StatementError(
                "the statement has amounts, and nothing says of which currency", remedy=_SAY_CURRENCY
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
                self._remedies[error.remedy] = None
            return None

    def refuse(self) -> None:
        """Refuse the statement if a row was wrong: half of one would compare as a gap."""
        if self._wrong:
            more = self._wrong - len(self._complaints)
            rest = f"; and {more} more" if more else ""
            raise StatementError(f"{'; '.join(self._complaints)}{rest}", remedy=" ".join(self._remedies))

    def _row(self, number: int, said: dict[str, str]) -> StatementRow:
        amount, step = self._number(said["amount"], "amount") if said.get("amount") else (None, 0)
        currency = said.get("currency", "").upper() or self._currency
        if amount is not None and (currency is None or not _CURRENCY.fullmatch(currency)):
            remedy = _CORRECT if said["currency"] else f"Correct the file; or, for empty cells: {_SAY_CURRENCY}"
            raise _CellError("currency", "is no ISO 4217 currency code", remedy)
        at_ns, lasts_ns = self._time(said)
        return StatementRow(
            lines=(number,),
            request_id=said.get("request_id") or None,
            at_ns=at_ns,
            lasts_ns=lasts_ns,
            model=said.get("model") or None,
            input_tokens=self._tokens(said, "input_tokens"),
            cached_input_tokens=self._tokens(said, "cached_input_tokens"),
            output_tokens=self._tokens(said, "output_tokens"),
            amount_pico=amount,
            step_pico=step,
            currency=None if amount is None else currency,
        )

    def _time(self, said: dict[str, str]) -> tuple[int | None, int]:
        """Read (when, how long that lasts), in nanoseconds."""
        text, per_unit = said.get("time"), _UNIX.get(self._meaning.format)
        if not text:
            return None, 0
        try:
            at_ns, ends_ns = self._dated(text) if per_unit is None else self._counted(text, per_unit)
            if 0 <= at_ns <= ends_ns <= TIME_NS_MAX:
                return at_ns, ends_ns - at_ns
        except (ValueError, OverflowError, re.error):  # the last: a format that names one part twice
            pass
        raise _CellError("time", f"is no time of the format {shown(self._meaning.format)}", _SAY_FORMAT)

    def _counted(self, text: str, per_unit: int) -> tuple[int, int]:
        """Read a count of units since 1970."""
        since, _ = self._number(text, "time")
        return since * per_unit // PICO_PER_UNIT, since * per_unit // PICO_PER_UNIT

    def _dated(self, text: str) -> tuple[int, int]:
        """Read a time as (begin, end): both the same, but of a date alone, which is its zone's whole day."""
        moment, is_day = self._moment(text)
        zone = moment.tzinfo or self._zone
        if zone is None:
            raise _CellError("time", "names no time zone", _SAY_ZONE)
        end = moment + timedelta(days=1) if is_day else moment
        return utc_ns(moment.replace(tzinfo=zone).isoformat()), utc_ns(end.replace(tzinfo=zone).isoformat())

    def _moment(self, text: str) -> tuple[datetime, bool]:
        """Read a time, and whether it is a date alone."""
        wanted = self._meaning.format
        if wanted != "iso":
            return datetime.strptime(text, wanted), not self._has_hours  # noqa: DTZ007 - its zone follows
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return datetime.fromisoformat(text), False
        return datetime(day.year, day.month, day.day), True  # noqa: DTZ001 - its zone follows

    def _number(self, text: str, field: str) -> tuple[int, int]:
        """Read a number as (pico-units, pico-units of its last digit)."""
        is_comma = self._meaning.decimal == ","
        plain = text.translate(_OTHER_DECIMALS) if is_comma else text
        if not _NUMBER.fullmatch(plain):
            has_commas = not is_comma and _COMMA_DECIMALS.fullmatch(text)
            remedy = _SAY_DECIMAL if has_commas else _CORRECT_OF.get(field, _CORRECT)
            raise _CellError(field, "is no number", remedy)
        number = Decimal(plain.replace(",", ""))
        whole, _, fraction = f"{number:f}".partition(".")
        fraction = fraction.rstrip("0")
        try:
            exact = pico(f"{whole}.{fraction}" if fraction else whole)
        except ValueError:
            raise _CellError(
                field, f"has more than 18 digits or more than {PICO_DIGITS} decimals", _CORRECT
            ) from None
        decimals = -int(number.as_tuple().exponent)
        return exact, 10 ** min(PICO_DIGITS, max(0, PICO_DIGITS - decimals))

    def _tokens(self, said: dict[str, str], field: str) -> int | None:
        text = said.get(field)
        if not text:
            return None
        exact, _ = self._number(text, field)
        count: int = exact // PICO_PER_UNIT
        if exact % PICO_PER_UNIT or not 0 <= count <= TOKENS_MAX:
            raise _CellError(field, "is no count of tokens", _CORRECT)
        return count


class _CellError(Exception):
    """A cell that is not what its column must hold."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(why)
        self.field = field
        self.why = why
        self.remedy = remedy


def _steps(rows: Sequence[StatementRow]) -> dict[str, int]:
    """Find the finest last digit that amounts of each currency are written with."""
    steps: dict[str, int] = {}
    for row in rows:
        if row.currency is not None:
            steps[row.currency] = min(row.step_pico, steps.get(row.currency, STEP_PICO_MAX))
    return steps


def _stepped(row: StatementRow, steps: Mapping[str, int]) -> StatementRow:
    """Give a row the last digit of its currency."""
    step_pico = row.step_pico if row.currency is None else steps[row.currency]
    return row if step_pico == row.step_pico else msgspec.structs.replace(row, step_pico=step_pico)


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
        lasts_ns=first.lasts_ns,
        model=first.model,
        input_tokens=added("input_tokens"),
        cached_input_tokens=added("cached_input_tokens"),
        output_tokens=added("output_tokens"),
        amount_pico=added("amount_pico"),
        step_pico=sum(part.step_pico for part in parts),
        currency=next((part.currency for part in parts if part.currency is not None), None),
    )
