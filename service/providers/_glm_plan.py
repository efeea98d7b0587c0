"""GLM's coding plan: its windows of credits, its count of tokens, and what a request draws.

Sources: docs.z.ai/devpack/overview (multipliers, peak hours), the provider's own plug-in for usage queries, and
recorded answers.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import msgspec
from msgspec import Raw

from service.core.books import Figure
from service.core.money import PICO_PER_UNIT, decimal_text
from service.core.shapes import Stated
from service.core.times import NS_PER_S, utc_text
from service.core.usage import Usage
from service.providers._counting import pico_of, stated, told, unreadable
from service.providers._json import Fields, count, fields, is_null, items, string

CODING = "coding"
BEIJING = timezone(timedelta(hours=8))  # the zone of every time that these services take and write
DAY = timedelta(days=1)
MODELS_MAX = 200
POINTS_MAX = 400

_MS_MAX = 4_102_444_800_000  # the year 2100
_PEAK_HOURS = range(14, 18)
_SATURDAY = 5
_LENGTHS: Mapping[tuple[int | None, int | None], tuple[str, timedelta]] = {
    (3, 5): ("5h", timedelta(hours=5)),
    (6, 1): ("week", timedelta(weeks=1)),
}
_CLASSES = (
    ("uncached_input_tokens", "uncachedInputTokensUsage"),
    ("cached_input_tokens", "cachedInputTokensUsage"),
    ("output_tokens", "outputTokensUsage"),
)


class Multipliers(msgspec.Struct, frozen=True):
    """What 100,000 tokens of each class draw at peak hours, in credits."""

    uncached_input: int
    cached_input: int
    output: int


_DRAWN = {
    "glm-5.3": Multipliers(69, 17, 240),
    "glm-5.2": Multipliers(69, 17, 240),
    "glm-5-turbo": Multipliers(57, 15, 210),
    "glm-4.7": Multipliers(46, 12, 160),
}
_TOKENS_PER_MULTIPLIER = 100_000


def drawn_pico(model: str, usage: Usage, at_ns: int) -> int | None:
    """Say what an attempt draws, in 10⁻¹² credits: half of it outside the peak hours."""
    by = _DRAWN.get(model)
    if by is None:
        return None
    parts = (
        (usage.uncached_input_tokens + usage.cache_write_tokens) * by.uncached_input,
        usage.cached_input_tokens * by.cached_input,
        usage.output_tokens * by.output,
    )
    full: int = sum(parts) * (PICO_PER_UNIT // _TOKENS_PER_MULTIPLIER)
    return full if _is_peak(at_ns) else full // 2


def usage_path(at_ns: int) -> str:
    """Write the question for the tokens of the whole day, as Beijing counts days."""
    begin = _day(at_ns)
    times = {"startTime": begin, "endTime": begin + DAY - timedelta(seconds=1)}
    asked = "&".join(f"{name}={quote(f'{at:%Y-%m-%d %H:%M:%S}')}" for name, at in times.items())
    return f"/api/monitor/credit-usage/usage-detail?{asked}&type=1&usageType=MODEL"


def quota(said: Fields) -> Stated:
    """Read the windows of credits; those of tools are passed over."""
    figures, tells = list[Figure](), told("level", said.get("level"))
    for limit in map(fields, items(said.get("limits"))[:MODELS_MAX]):
        named = None if limit is None else _LENGTHS.get((_whole(limit, "unit"), _whole(limit, "number")))
        if limit is None or named is None:
            continue
        found = _window(limit, *named)
        if found is None:
            continue
        figures += [found] if found.since is not None else []
        # A window that nothing was drawn from yet has no end: two such readings cannot be told apart by it.
        tells |= {found.name: f"{found.amount} of {found.cap}"} if found.since is None else {}
    if not figures and not tells:
        return unreadable("the answer names no window of the plan")
    return stated(figures, tells)


def credit_usage(said: Fields, at_ns: int) -> Stated:
    """Add up the tokens of each class since the day began; a class that a model leaves out is not stated."""
    usage = fields(said.get("modelUsage"))
    if usage is None or "modelDataList" not in usage:
        return unreadable("the answer lists no models")
    models = items(usage["modelDataList"])
    rows = [row for row in map(fields, models) if row is not None]
    if len(models) > MODELS_MAX or len(rows) < len(models):
        return unreadable("the list of models is none, or too long")
    begin = _begin(usage, at_ns)
    counted = {name: _summed([row.get(field) for row in rows]) for name, field in _CLASSES}
    figures = tuple(_since(begin, name, number) for name, number in counted.items() if number is not None)
    if not figures:
        return unreadable("the answer counts no tokens")
    return stated(figures)


def _window(limit: Fields, name: str, length: timedelta) -> Figure | None:
    """Read one window: by credits, or by percent as older plans have it."""
    by_credits = string(limit.get("type")) == "CREDIT_LIMIT"
    amount = pico_of(limit.get("currentValue" if by_credits else "percentage"))
    cap = pico_of(limit.get("usage")) if by_credits else 100 * PICO_PER_UNIT
    if amount is None or cap is None or string(limit.get("type")) not in {"CREDIT_LIMIT", "TOKENS_LIMIT"}:
        return None
    ends = _reset(limit.get("nextResetTime"))
    return Figure(
        name=f"{'credits' if by_credits else 'percent'}_{name}",
        amount=decimal_text(amount),
        unit="credits" if by_credits else "percent",
        resolution="1",
        since=None if ends is None else _text(ends - length),
        cap=decimal_text(cap),
        resets_at=None if ends is None else _text(ends),
    )


def _since(begin: datetime, name: str, number: int) -> Figure:
    return Figure(
        name=name,
        amount=str(number),
        unit="tokens",
        resolution="1",
        since=_text(begin),
        resets_at=_text(begin + DAY),
    )


def _summed(sources: list[Raw | None]) -> int | None:
    """Add up every number of every list; None where one is no list of numbers."""
    total = 0
    for source in sources:
        points = items(source)
        if source is None or bytes(source)[:1] != b"[" or len(points) > POINTS_MAX:
            return None
        numbers = [0 if is_null(point) else count(point) for point in points]
        if any(number is None or number < 0 for number in numbers):
            return None
        total += sum(number for number in numbers if number is not None)
    return total


def _begin(usage: Fields, at_ns: int) -> datetime:
    """Say which day was counted: the answer's own first hour knows better than the time it came."""
    times = items(usage.get("xTime"))
    stated = _read_time((string(times[0]) or "")[:10]) if times else None
    return stated or _day(at_ns)


def _reset(source: Raw | None) -> datetime | None:
    """Read a time: milliseconds, or text in Beijing's time."""
    if source is None:
        return None
    at_ms = count(source)
    if at_ms is None:
        return _read_time(string(source) or "")
    if not 0 < at_ms < _MS_MAX:
        return None
    return datetime.fromtimestamp(at_ms // 1000, UTC) + timedelta(milliseconds=at_ms % 1000)


def _read_time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    plain = at.replace(tzinfo=BEIJING) if at.tzinfo is None else at
    return plain if 1971 < plain.year < 2100 else None  # noqa: PLR2004 - years that cannot overflow


def _whole(limit: Fields, name: str) -> int | None:
    source = limit.get(name)
    return None if source is None else count(source)


def _day(at_ns: int) -> datetime:
    at = datetime.fromtimestamp(at_ns // NS_PER_S, BEIJING)
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _text(at: datetime) -> str:
    seconds = int(at.replace(microsecond=0).timestamp())
    return utc_text(seconds * NS_PER_S + at.microsecond * 1000)


def _is_peak(at_ns: int) -> bool:
    at = datetime.fromtimestamp(at_ns // NS_PER_S, BEIJING)
    return at.weekday() < _SATURDAY and at.hour in _PEAK_HOURS
