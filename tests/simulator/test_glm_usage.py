"""The plan's counts: the tokens that were billed, by class and hour, in the shapes that clients read."""

from typing import Any

import pytest

Talk = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported
Clock = Any

PLAN = "/api/coding/paas/v4/chat/completions"
DETAIL = "/api/monitor/credit-usage/usage-detail"
USAGE = "/api/monitor/usage/model-usage"
DAY = "startTime=2026-11-20%2000:00:00&endTime=2026-11-20%2023:59:59"  # the clock says 16:00 in Beijing
WEEK = "startTime=2026-11-14%2000:00:00&endTime=2026-11-20%2023:59:59"
KEY = "sim-plan-one"


async def test_tokens_are_counted_by_class_and_hour(talk: Talk, clock: Clock) -> None:
    """They are those of the books, in the hour in which they were billed."""
    for _ in range(2):
        await talk.glm("x" * 400, path=PLAN, key=KEY)
    clock.advance(3600)
    await talk.glm(path=PLAN, key=KEY, model="glm-4.7")
    billed = [entry["usage"] for entry in (await talk.books())["requests"]]
    data = (await talk.get(f"{DETAIL}?{DAY}&type=1&usageType=MODEL", key=KEY)).json["data"]["modelUsage"]
    small, large = data["modelDataList"]

    assert (len(data["xTime"]), data["xTime"][16]) == (24, "2026-11-20 16:00")
    assert [small["modelCode"], large["modelCode"]] == ["glm-4.7", "glm-5.3"]
    written = billed[0]["completion_tokens"] + billed[1]["completion_tokens"]
    assert large["outputTokensUsage"][15:18] == [0, written, 0]
    assert small["outputTokensUsage"][15:18] == [0, 0, billed[2]["completion_tokens"]]
    assert large["cachedInputTokensUsage"][16] == billed[1]["cached_tokens"] > 0
    assert sum(large["inputTokensUsage"]) == sum(usage["prompt_tokens"] for usage in billed[:2])
    assert data["totalUsage"]["totalTokens"] == sum(usage["total_tokens"] for usage in billed)
    assert len(large["totalCreditsUsage"][16].partition(".")[2]) == 4


async def test_calls_and_tokens_of_each_model(talk: Talk) -> None:
    """A longer span is counted by days."""
    await talk.glm(path=PLAN, key=KEY)
    data = (await talk.get(f"{USAGE}?{WEEK}", key=KEY)).json["data"]
    (row,) = data["modelDataList"]
    tokens = (await talk.last())["usage"]["total_tokens"]

    assert (len(data["x_time"]), data["x_time"][-1]) == (7, "2026-11-20")
    assert (data["modelCallCount"], data["tokensUsage"]) == ([0] * 6 + [1], [0] * 6 + [tokens])
    assert (row["modelName"], row["totalTokens"]) == ("GLM-5.3", tokens)
    assert data["totalUsage"]["totalModelCallCount"] == 1


async def test_counts_lag_as_the_money_does(talk: Talk, clock: Clock) -> None:
    """The switch for it holds for the quota and both counts."""
    await talk.glm("sim:words=3000", path=PLAN, key=KEY)
    await talk.fault("billing_lag", seconds=60)
    routes = (f"{DETAIL}?{DAY}", f"{USAGE}?{DAY}", "/api/monitor/usage/quota/limit")
    said = []
    for _ in range(2):
        detail, usage, quota = [(await talk.get(route, key=KEY)).json["data"] for route in routes]
        said.append(
            (
                detail["modelUsage"]["totalUsage"]["totalTokens"],
                usage["totalUsage"]["totalModelCallCount"],
                quota["limits"][0]["currentValue"],
            )
        )
        clock.advance(61)

    assert said[0] == (0, 0, 0)
    assert all(number > 0 for number in said[1])


async def test_a_span_holds_what_was_billed_in_it(talk: Talk, clock: Clock) -> None:
    """What came after its end is in none of its points, also where that is in its last hour."""
    clock.advance(60)
    await talk.glm(path=PLAN, key=KEY)
    counted = []
    for end in ("15:59:59", "16:00:00", "16:59:59"):
        span = f"startTime=2026-11-20%2000:00:00&endTime=2026-11-20%20{end}"
        data = (await talk.get(f"{USAGE}?{span}", key=KEY)).json["data"]
        counted.append((len(data["x_time"]), sum(data["modelCallCount"])))

    assert counted == [(16, 0), (17, 0), (17, 1)]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "startTime=2026-11-20%2000:00:00",
        "startTime=x&endTime=y",
        "startTime=2026-11-20%2000:00:00&endTime=2026-11-19%2000:00:00",
        "startTime=2000-01-01%2000:00:00&endTime=2026-11-19%2000:00:00",
        "startTime=2026-11-20T00:00:00Z&endTime=2026-11-20%2000:00:00",
    ],
)
@pytest.mark.parametrize("route", [DETAIL, USAGE])
async def test_no_span_is_a_refusal_with_a_200(talk: Talk, route: str, query: str) -> None:
    """As everything is that these routes refuse."""
    reply = await talk.get(f"{route}?{query}", key=KEY)

    assert (reply.status, reply.json["success"], reply.json["code"]) == (200, False, 1214)


@pytest.mark.parametrize("route", [DETAIL, USAGE])
async def test_without_a_plan_there_is_nothing_to_count(talk: Talk, route: str) -> None:
    """Whatever the key paid for with money."""
    await talk.glm()
    reply = await talk.get(f"{route}?{DAY}")

    assert (reply.json["success"], reply.json["msg"]) == (False, "当前用户不存在coding plan")
