"""The legend of a statement: which column holds what, as its owner says it, or as the names let guess.

No real statement of any provider was at hand when this was written: which columns there are, whose time they mean
and whether an amount is rounded is for its owner to say and to check.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from service.errors import StatementError

_SHOWN_CHARS = 40
# Names that such columns may have, without case, spaces and signs: guesses, the first that is there counts.
_GUESSES: Mapping[str, tuple[str, ...]] = {
    "request_id": ("requestid", "reqid", "mshrequestid", "xlogid", "logid", "chatcompletionid", "id", "请求id"),
    "time": ("time", "timestamp", "createdat", "created", "requesttime", "calltime", "date", "时间", "调用时间"),
    "model": ("model", "modelname", "modelcode", "模型", "模型名称"),
    "input_tokens": ("inputtokens", "prompttokens", "输入tokens", "输入token"),
    "cached_input_tokens": ("cachedinputtokens", "cachedtokens", "cachehittokens", "缓存tokens", "缓存token"),
    "output_tokens": ("outputtokens", "completiontokens", "输出tokens", "输出token"),
    "amount": ("amount", "cost", "fee", "charge", "totalcost", "金额", "费用", "消费金额"),
    "currency": ("currency", "currencycode", "币种"),
}

EXAMPLE = """\
# Which column of the statement holds what. Leave out what it has not; without this file names are guessed.
# No real statement was at hand when this was written: check each line against yours.
[columns]
request_id = "Request ID"            # any id that the provider gave the request: of the header or of the body
time = "Time"
model = "Model"
input_tokens = "Input tokens"
cached_input_tokens = "Cached tokens"
output_tokens = "Output tokens"
amount = "Amount"
currency = "Currency"

[meaning]
format = "%Y-%m-%d %H:%M:%S"         # of the time; or iso, unix, unix_ms
zone = "Asia/Shanghai"               # whose time it is, where it names no zone; an IANA name
currency = "CNY"                     # where no column holds it
delimiter = ","
decimal = "."                        # what stands before decimals; or ","
input_includes_cached = true         # whether input tokens count the cached ones, too
"""


class Columns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names of a statement's columns; None where it has no such."""

    request_id: str | None = None
    time: str | None = None
    model: str | None = None
    input_tokens: str | None = None
    cached_input_tokens: str | None = None
    output_tokens: str | None = None
    amount: str | None = None
    currency: str | None = None


class Meaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a statement's cells mean.

    Attributes:
        format: of times: `iso`, `unix`, `unix_ms`, or as `strptime` takes it.
        zone: IANA name of the zone of times that name none; None: they must name one.
        currency: of amounts without a column for it.
        delimiter: between cells; None: found by the first line.
        decimal: what stands before decimals; the other sign parts thousands.
        input_includes_cached: whether input tokens count the cached ones.
    """

    format: str = "iso"
    zone: str | None = None
    currency: str | None = None
    delimiter: str | None = None
    decimal: Literal[".", ","] = "."
    input_includes_cached: bool = True


class Legend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a statement is read. Without columns their names are guessed."""

    columns: Columns | None = None
    meaning: Meaning = Meaning()


def guessed(header: Sequence[str]) -> Columns:
    """Guess by their names which columns there are; of equal names the first is meant."""
    known = {_plain(name): name for name in reversed(header)}
    found = {
        field: next((known[guess] for guess in guesses if guess in known), None)
        for field, guesses in _GUESSES.items()
    }
    return Columns(**found)


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())


def places_of(header: Sequence[str], columns: Columns) -> dict[str, int]:
    """Find the columns by their names.

    Returns:
        The place of each column that is named, by the field of `Columns`.

    Raises:
        StatementError: one is not there, or twice, or none tells which request is meant.
    """
    names = [name.strip() for name in header]
    places: dict[str, int] = {}
    for field in columns.__struct_fields__:
        name: str | None = getattr(columns, field)
        if name is None:
            continue
        if names.count(name.strip()) != 1:
            raise StatementError(
                f"{shown(name)} is not the name of one column ({field})",
                remedy=f"The statement's columns are: {', '.join(map(shown, names))}.",
            )
        places[field] = names.index(name.strip())
    by_tokens = "time" in places and {"input_tokens", "output_tokens"} & places.keys()
    if "request_id" not in places and not by_tokens:
        raise StatementError(
            "no column tells which request is meant: there must be a request id, or a time and tokens",
            remedy=(
                f"The first line must name the columns; it is: {', '.join(map(shown, names))}. A file may say"
                " which is which: `exai ledger match --example` shows one; --columns takes it."
            ),
        )
    return places


def shown(text: str) -> str:
    """Quote a stranger's text, short and escaped."""
    return repr(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")
