"""GLM's coding plan: windows of credits, tokens by class, and what a request draws at which hour."""

import json
from typing import Any

import pytest

from service.core.books import Figure
from service.core.shapes import Stated
from service.core.usage import Usage
from service.core.words import ReadingOutcome
from service.providers._glm_plan import POINTS_MAX
from service.providers.glm import PROVIDER

COUNTERS = PROVIDER.counters
AT_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z, a Sunday: the 23rd, 00:21 in Beijing
HOUR_NS = 3600 * 10**9
PEAK_NS = AT_NS + 14 * HOUR_NS  # Monday, 14:21 in Beijing
FIVE_HOURS = {
    "type": "CREDIT_LIMIT",
    "unit": 3,
    "number": 5,
    "usage": 12000,
    "currentValue": 402,
    "remaining": 11615,
    "percentage": 3,
    "nextResetTime": 1789757854621,
}
WEEK = FIVE_HOURS | {"unit": 6, "number": 1, "usage": 60000, "currentValue": 2024}
TOOLS = {"type": "TIME_LIMIT", "unit": 5, "number": 1, "usage": 4000, "currentValue": 0, "nextResetTime": 1}


def quota(*limits: object, **more: object) -> Stated:
    """Read the plan's windows."""
    body = {"code": 200, "success": True, "data": {"limits": limits, **more}}
    return COUNTERS.stated("quota", 200, {}, json.dumps(body).encode(), currency="USD", at_ns=AT_NS)


def counted(*models: object, at_ns: int = AT_NS, **more: object) -> Stated:
    """Read the plan's count of tokens."""
    body = {"code": 200, "success": True, "data": {"modelUsage": {"modelDataList": models, **more}}}
    return COUNTERS.stated("credit_usage", 200, {}, json.dumps(body).encode(), currency="USD", at_ns=at_ns)


def test_windows_of_credits_know_where_they_begin_and_end() -> None:
    """A window ends when the provider says, and began its own length before; those of tools are passed over."""
    found = quota(TOOLS, FIVE_HOURS, WEEK, level="pro")
    assert {"level": "pro"} == found.tells
    assert (
        Figure(
            name="credits_5h",
            amount="402",
            unit="credits",
            resolution="1",
            since="2026-09-18T13:57:34.621000Z",
            cap="12000",
            resets_at="2026-09-18T18:57:34.621000Z",
        ),
        Figure(
            name="credits_week",
            amount="2024",
            unit="credits",
            resolution="1",
            since="2026-09-11T18:57:34.621000Z",
            cap="60000",
            resets_at="2026-09-18T18:57:34.621000Z",
        ),
    ) == found.figures


def test_an_older_plan_tells_percents() -> None:
    """They are shown, and are no measure."""
    limit = {"type": "TOKENS_LIMIT", "unit": 3, "number": 5, "percentage": 100, "nextResetTime": 1787056863927}
    assert [("percent_5h", "100", "percent", "100")] == [
        (one.name, one.amount, one.unit, one.cap) for one in quota(limit).figures
    ]


@pytest.mark.parametrize("ends", [None, "soon", 0, -5, 10**14, 1.5, "0001-01-01", "9999-12-31"])
def test_a_window_without_an_end_is_told_and_not_compared(ends: object) -> None:
    """Nothing was drawn from it yet: so it was recorded; two such readings could be of two windows."""
    found = quota(FIVE_HOURS | {"currentValue": 0, "nextResetTime": ends})
    assert (ReadingOutcome.READ, (), {"credits_5h": "0 of 12000"}) == (found.outcome, found.figures, found.tells)


def test_an_end_may_be_written_in_beijings_time() -> None:
    """As one of the hosts does."""
    (found,) = quota(FIVE_HOURS | {"nextResetTime": "2026-08-21 15:39:20"}).figures
    assert "2026-08-21T07:39:20.000000Z" == found.resets_at


@pytest.mark.parametrize(
    "limit",
    [
        None,
        7,
        {},
        TOOLS,
        FIVE_HOURS | {"unit": 9},
        FIVE_HOURS | {"unit": "3"},
        FIVE_HOURS | {"currentValue": None},
        FIVE_HOURS | {"type": "OTHER_LIMIT"},
    ],
)
def test_what_is_no_known_window_is_passed_over(limit: object) -> None:
    """Alone it leaves nothing to read."""
    assert ReadingOutcome.UNREADABLE is quota(limit).outcome


def test_the_day_is_asked_for_as_beijing_counts_it() -> None:
    """From its first second to its last."""
    path = COUNTERS.inquiries(plan="coding", at_ns=AT_NS)[1].prepared.path
    assert (
        "/api/monitor/credit-usage/usage-detail?startTime=2026-11-23%2000%3A00%3A00"
        "&endTime=2026-11-23%2023%3A59%3A59&type=1&usageType=MODEL"
    ) == path


def model(**changed: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """Count one model's tokens."""
    return {
        "modelName": "GLM-5.3",
        "uncachedInputTokensUsage": [1, None, 3],
        "cachedInputTokensUsage": [0, 10],
        "outputTokensUsage": [7],
        **changed,
    }


def test_tokens_are_added_up_over_hours_and_models() -> None:
    """They count from midnight in Beijing, and until the next one."""
    found = counted(model(), model(outputTokensUsage=[]))
    assert [("uncached_input_tokens", "8"), ("cached_input_tokens", "20"), ("output_tokens", "7")] == [
        (one.name, one.amount) for one in found.figures
    ]
    assert {("tokens", "1", "2026-11-22T16:00:00.000000Z", "2026-11-23T16:00:00.000000Z")} == {
        (one.unit, one.resolution, one.since, one.resets_at) for one in found.figures
    }


def test_a_day_without_calls_has_zeros() -> None:
    """The list is there, and empty."""
    assert ["0", "0", "0"] == [one.amount for one in counted().figures]


def test_the_answer_knows_its_day_better_than_the_time_it_came() -> None:
    """It was asked before midnight, and came after."""
    found = counted(model(), xTime=["2026-11-22 00:00", "2026-11-22 01:00"])
    assert {"2026-11-21T16:00:00.000000Z"} == {one.since for one in found.figures}
    strange = counted(model(), xTime=["whenever"])
    assert {"2026-11-22T16:00:00.000000Z"} == {one.since for one in strange.figures}


def test_a_class_that_a_model_leaves_out_is_not_stated() -> None:
    """Half a sum would be a lie; the other classes hold."""
    found = counted(model(), model(cachedInputTokensUsage=None))
    assert ["uncached_input_tokens", "output_tokens"] == [one.name for one in found.figures]
    assert ReadingOutcome.UNREADABLE is counted({"modelName": "GLM-5.3"}).outcome
    assert ReadingOutcome.UNREADABLE is counted(7).outcome
    wrong = counted(model(outputTokensUsage=[-1]), model(cachedInputTokensUsage=["1"]))
    assert ["uncached_input_tokens"] == [one.name for one in wrong.figures]


@pytest.mark.parametrize(
    ("name", "at_ns", "drawn"),
    [
        ("glm-5.3", PEAK_NS, 6_900_000_000_000 + 1_700_000_000_000 + 24_000_000_000_000),
        ("glm-5.3", AT_NS, (6_900_000_000_000 + 1_700_000_000_000 + 24_000_000_000_000) // 2),
        ("glm-5-turbo", PEAK_NS, 5_700_000_000_000 + 1_500_000_000_000 + 21_000_000_000_000),
        ("glm-4.7", PEAK_NS, 4_600_000_000_000 + 1_200_000_000_000 + 16_000_000_000_000),
        ("glm-4.7", PEAK_NS + 4 * HOUR_NS, (4_600_000_000_000 + 1_200_000_000_000 + 16_000_000_000_000) // 2),
        ("glm-4.7", PEAK_NS - 24 * HOUR_NS, (4_600_000_000_000 + 1_200_000_000_000 + 16_000_000_000_000) // 2),
        ("glm-of-tomorrow", PEAK_NS, None),
    ],
)
def test_what_a_request_draws(name: str, at_ns: int, drawn: int | None) -> None:
    """Credits for 10,000 tokens of each class; half of it outside Monday to Friday, 14:00 to 18:00 in Beijing."""
    usage = Usage(
        uncached_input_tokens=9_000,
        cached_input_tokens=10_000,
        cache_write_tokens=1_000,
        output_tokens=10_000,
        reasoning_tokens=0,
    )
    assert drawn == COUNTERS.drawn_pico(plan="coding", model=name, usage=usage, at_ns=at_ns)
    assert COUNTERS.drawn_pico(plan="other", model=name, usage=usage, at_ns=at_ns) is None


@pytest.mark.parametrize(
    ("path", "plan"),
    [("/api/coding/paas/v4", "coding"), ("/api/paas/v4", None), ("", None), ("/api/coding", "coding")],
)
def test_the_plan_has_a_path_of_its_own(path: str, plan: str | None) -> None:
    """On each host."""
    assert plan == PROVIDER.plan(path)


def test_a_window_that_comes_twice_is_not_read() -> None:
    """Which of them is meant nobody knows; and two hundred of them would be kept with every reading."""
    found = quota(*(FIVE_HOURS | {"currentValue": number} for number in range(200)))
    assert (ReadingOutcome.UNREADABLE, ()) == (found.outcome, found.figures)


def test_more_points_than_a_day_has_are_not_read() -> None:
    """A class whose list is too long is not stated, however small its numbers are."""
    found = [counted(model(outputTokensUsage=[1] * points)).figures for points in (POINTS_MAX, POINTS_MAX + 1)]
    assert [3, 2] == [len(one) for one in found]


def test_tokens_beyond_any_account_are_not_read() -> None:
    """Each count is a number; added up they are none."""
    model = {"uncachedInputTokensUsage": [99_999_999_999_999] * 399}
    assert ReadingOutcome.READ is counted(model).outcome
    assert ReadingOutcome.UNREADABLE is counted(*[model] * 190).outcome
