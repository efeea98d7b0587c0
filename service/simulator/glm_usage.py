"""GLM's counts of what a coding plan used: tokens of each class and credits, by hours or days. Pure bodies.

The shapes are those that the provider's own plug-in and other clients read; every time is in UTC+8.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from service.simulator.accounts import Account, Draw
from service.simulator.glm_account import granted, no_plan
from service.simulator.rates import NANO

_BEIJING = timezone(timedelta(hours=8))
_HOURLY_UP_TO = timedelta(days=2)
_POINTS_MAX = 100

Refusal = dict[str, object]


class Span:
    """The points of time that were asked for: whole hours of a short span, whole days of a longer one."""

    def __init__(self, query: Mapping[str, str]) -> None:
        """Read the query; raises ValueError when it names no span, or one that is too long."""
        begin, end = (datetime.fromisoformat(query.get(name, "")) for name in ("startTime", "endTime"))
        hourly = end - begin <= _HOURLY_UP_TO
        self.step = timedelta(hours=1) if hourly else timedelta(days=1)
        self.begin = begin.replace(tzinfo=_BEIJING)
        count = (end - begin) // self.step + 1
        if not 0 < count <= _POINTS_MAX:
            raise ValueError("the span is empty or too long")
        self.names = [
            f"{begin + nth * self.step:{'%Y-%m-%d %H:%M' if hourly else '%Y-%m-%d'}}" for nth in range(count)
        ]
        self.end = end.replace(tzinfo=_BEIJING)

    def place(self, at_ns: int) -> int | None:
        """Find the point that a time belongs to; None outside the span."""
        at = datetime.fromtimestamp(at_ns // 10**9, _BEIJING)
        return (at - self.begin) // self.step if self.begin <= at <= self.end else None

    def points(self, draws: Sequence[Draw], count: Callable[[Draw], int]) -> list[int]:
        """Add up what was drawn at each point."""
        sums = [0] * len(self.names)
        for draw in draws:
            place = self.place(draw.at_ns)
            if place is not None:
                sums[place] += count(draw)
        return sums


def usage_detail(account: Account, query: Mapping[str, str], until_ns: int | None) -> dict[str, object]:
    """Give tokens and credits of each model, by class."""
    span = _span(account, query)
    if not isinstance(span, Span):
        return span
    draws = [draw for draw in account.draws_until(until_ns) if span.place(draw.at_ns) is not None]
    models = sorted({draw.model for draw in draws})
    rows = [_row(span, model, [draw for draw in draws if draw.model == model]) for model in models]
    tokens = sum(draw.tokens for draw in draws)
    cached, read = sum(draw.cached for draw in draws), sum(draw.cached + draw.uncached for draw in draws)
    total = _credits(sum(draw.credits_nano for draw in draws))
    return granted(
        "Operation successful",
        {
            "summary": {
                "cacheHitRate": {"value": f"{cached / read if read else 0:.4f}"},
                "totalCredits": {"value": total},
            },
            "modelUsage": {
                "xTime": span.names,
                "totalUsage": {"totalTokens": tokens, "totalCredits": total},
                "modelSummaryList": [
                    {name: row[name] for name in ("modelName", "totalTokens", "totalCredits")} for row in rows
                ],
                "modelDataList": rows,
            },
        },
    )


def model_usage(account: Account, query: Mapping[str, str], until_ns: int | None) -> dict[str, object]:
    """Give calls and tokens of each model."""
    span = _span(account, query)
    if not isinstance(span, Span):
        return span
    draws = [draw for draw in account.draws_until(until_ns) if span.place(draw.at_ns) is not None]
    rows = []
    for model in sorted({draw.model for draw in draws}):
        own = [draw for draw in draws if draw.model == model]
        points = span.points(own, lambda draw: draw.tokens)
        rows.append({"modelName": model.upper(), "totalTokens": sum(points), "tokensUsage": points})
    return granted(
        "Operation successful",
        {
            "x_time": span.names,
            "modelCallCount": span.points(draws, lambda _draw: 1),
            "tokensUsage": span.points(draws, lambda draw: draw.tokens),
            "totalUsage": {
                "totalModelCallCount": len(draws),
                "totalTokensUsage": sum(draw.tokens for draw in draws),
                "modelSummaryList": [{name: row[name] for name in ("modelName", "totalTokens")} for row in rows],
            },
            "modelDataList": rows,
        },
    )


def _row(span: Span, model: str, draws: Sequence[Draw]) -> dict[str, object]:
    uncached = span.points(draws, lambda draw: draw.uncached)
    cached = span.points(draws, lambda draw: draw.cached)
    tokens = span.points(draws, lambda draw: draw.tokens)
    points = span.points(draws, lambda draw: draw.credits_nano)
    return {
        "modelCode": model,
        "modelName": model.upper(),
        "totalTokens": sum(tokens),
        "totalCredits": _credits(sum(points)),
        "uncachedInputTokensUsage": uncached,
        "cachedInputTokensUsage": cached,
        "inputTokensUsage": [plain + hit for plain, hit in zip(uncached, cached, strict=True)],
        "outputTokensUsage": span.points(draws, lambda draw: draw.output),
        "totalTokensUsage": tokens,
        "totalCreditsUsage": [_credits(nano) for nano in points],
    }


def _span(account: Account, query: Mapping[str, str]) -> Span | Refusal:
    if not account.plan:
        return no_plan()
    try:
        return Span(query)
    except (ValueError, TypeError):
        return {"code": 1214, "msg": "Invalid field: startTime or endTime", "success": False}


def _credits(nano: int) -> str:
    """Write credits as text with four decimals, as recorded."""
    return f"{nano // NANO}.{nano % NANO // 10**5:04d}"
