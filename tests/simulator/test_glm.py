"""GLM answers over HTTP as the real one was seen to."""

import re
from typing import Any

import pytest

Talk = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported

REPORT = "/api/biz/account/query-customer-account-report"
QUOTA = "/api/monitor/usage/quota/limit"
PLAN = "/api/coding/paas/v4/chat/completions"


async def test_one_id_stands_everywhere(talk: Talk) -> None:
    """id, request_id and X-LOG-ID are equal: the time in UTC+8 and 16 hex digits."""
    reply = await talk.glm()

    assert re.fullmatch(r"20261120160000[0-9a-f]{16}", reply.json["id"])
    assert reply.json["id"] == reply.json["request_id"] == reply.header["X-LOG-ID"]
    assert (await talk.last())["request_id"] == reply.json["id"]
    assert reply.header["Exai-Simulator"] == "1"
    assert "Server" not in reply.header


async def test_the_keys_are_alphabetical_and_cached_is_always_there(talk: Talk) -> None:
    """Every object of a whole answer is sorted, and a miss says 0."""
    answer = (await talk.glm()).json
    message = answer["choices"][0]["message"]

    for keys in (answer, answer["choices"][0], message, answer["usage"]):
        assert sorted(keys) == list(keys)
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    again = [(await talk.glm("x" * 400)).json["usage"]["prompt_tokens_details"] for _ in range(2)]
    assert again == [{"cached_tokens": 0}, {"cached_tokens": 110}]


async def test_a_stream_has_the_role_in_every_delta_and_usage_at_the_end(talk: Talk) -> None:
    """Usage comes on the finish chunk, asked for or not; no finish_reason before."""
    chunks = (await talk.glm(stream=True)).chunks

    assert all(chunk["choices"][0]["delta"]["role"] == "assistant" for chunk in chunks)
    assert all("finish_reason" not in chunk["choices"][0] for chunk in chunks[:-1])
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == (await talk.last())["reported_usage"]


async def test_our_request_id_is_echoed_and_taken_once(talk: Talk) -> None:
    """The body echoes it, the provider's own id stays; a second time is error 1231; another wallet may use it."""
    first = await talk.glm(request_id="attempt-1")
    again = await talk.glm(request_id="attempt-1")
    other = await talk.glm(request_id="attempt-1", key="sim-two")

    assert first.json["request_id"] == "attempt-1"
    assert first.json["id"] == first.header["X-LOG-ID"]
    assert (again.status, again.json["error"]["code"], again.json["request_id"]) == (400, "1231", "attempt-1")
    assert other.status == 200
    assert (await talk.last())["client_request_id"] == "attempt-1"


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [("sim-revoked", 401, "1000"), ("someone", 401, "1002"), (None, 401, "1001"), ("sim-empty", 429, "1113")],
)
async def test_keys_that_do_not_work_are_told_so(talk: Talk, key: str | None, status: int, code: str) -> None:
    """Each gets its code, as a string, and the books have it."""
    reply = await talk.glm(key=key)

    assert (status, code) == (reply.status, reply.json["error"]["code"])
    assert reply.header["X-LOG-ID"] == reply.json["request_id"]
    entry = await talk.last()
    assert (status, code) == (entry["status"], entry["error"])


async def test_what_the_model_does_not_take_is_refused(talk: Talk) -> None:
    """Unknown models are 1211; glm-5.3 cannot stop thinking; a long prompt is 1261; rubbish is 1210."""
    unknown = await talk.glm(model="glm-9")
    silent = await talk.glm(thinking={"type": "disabled"})
    long = await talk.glm("x" * 900_000)
    rubbish = await talk.ask("POST", "/api/paas/v4/chat/completions", b"{")

    assert [reply.json["error"]["code"] for reply in (unknown, silent, long, rubbish)] == [
        "1211",
        "1210",
        "1261",
        "1210",
    ]


async def test_without_thinking_there_is_no_reasoning(talk: Talk) -> None:
    """The text's key is missing, the count is 0."""
    answer = (await talk.glm(model="glm-4.7", thinking={"type": "disabled"})).json

    assert list(answer["choices"][0]["message"]) == ["content", "role"]
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


async def test_a_free_model_is_metered_and_costs_nothing(talk: Talk) -> None:
    """Usage is there, the bill is 0."""
    await talk.glm(model="glm-4.7-flash")
    entry = await talk.last()

    assert entry["usage"]["total_tokens"] > 0
    assert entry["billed"] == {"amount": "0", "currency": "USD"}


async def test_the_report_counts_spend_with_nine_decimals(talk: Talk) -> None:
    """Zero is written 0E-9; the counter equals the books to the last digit, in the account's currency."""
    fresh = await talk.get(REPORT, key="sim-cny-1")
    await talk.glm(key="sim-cny-1")
    billed = (await talk.last())["billed"]
    reply = await talk.get(REPORT, key="sim-cny-1")

    assert b'"frozenBalance":0E-9' in fresh.body
    assert b'"totalSpendAmount":0E-9' in fresh.body
    assert billed["currency"] == "CNY"
    counter = re.search(rb'"totalSpendAmount":(\d+\.\d{9}),', reply.body)
    assert counter is not None
    assert billed["amount"] == counter[1].decode().rstrip("0")
    assert reply.json["msg"] == "操作成功"


async def test_monitor_routes_refuse_with_a_200(talk: Talk) -> None:
    """Success and code tell; the raw key is taken as well."""
    absent, bad = await talk.get(QUOTA, key=None), await talk.get(QUOTA, key="sim-revoked")
    raw = await talk.ask("GET", QUOTA, key=None, headers=[("Authorization", "sim-plan-one")])
    none = await talk.get(QUOTA, key="sim-one")

    assert (absent.status, absent.json["code"], absent.json["success"]) == (200, 1001, False)
    assert (bad.status, bad.json["code"]) == (200, 401)
    assert raw.json["success"]
    assert (none.status, none.json["success"], none.json["msg"]) == (200, False, "当前用户不存在coding plan")


async def test_the_plan_draws_credits_instead_of_money(talk: Talk) -> None:
    """The quota counter moves; the money does not; other models are not in the plan."""
    fresh = (await talk.get(QUOTA, key="sim-plan")).json["data"]["limits"]
    await talk.glm("sim:words=9000", path=PLAN, key="sim-plan")
    entry = await talk.last()
    limits = (await talk.get(QUOTA, key="sim-plan")).json["data"]["limits"]
    outside = await talk.glm(path=PLAN, model="glm-5.1", key="sim-plan")

    assert entry["billed"]["amount"] == "0"
    assert int(float(entry["credits"])) == limits[0]["currentValue"] == limits[1]["currentValue"] > 0
    assert tuple(limits[0][key] for key in ("type", "unit", "number", "usage")) == ("CREDIT_LIMIT", 3, 5, 2000)
    assert [(0, False), (0, False)] == [(one["currentValue"], "nextResetTime" in one) for one in fresh]
    assert all("nextResetTime" in one for one in limits)
    assert outside.json["error"]["code"] == "1311"


async def test_a_key_pays_at_its_own_path_only(talk: Talk) -> None:
    """A plan's key has no money, and any other has no plan."""
    wrong = [await talk.glm(key="sim-plan"), await talk.glm(path=PLAN)]
    report = await talk.get(REPORT, key="sim-plan")

    assert [(429, "1113")] * 2 == [(reply.status, reply.json["error"]["code"]) for reply in wrong]
    assert b'"balance":0E-9' in report.body
    assert (await talk.kimi(key="sim-plan")).status == 200  # there is no such plan at the other provider


async def test_a_second_spender_draws_on_the_plan(talk: Talk) -> None:
    """What pays is what somebody else spends as well; a judge may draw credits without any request."""
    await talk.fault("second_spender", amount="7")
    await talk.glm(path=PLAN, key="sim-plan")
    (wallet,) = (await talk.books())["wallets"]
    move = {"wallet": wallet["wallet"], "kind": "credits", "amount": "3"}
    await talk.ask("POST", "/_sim/move", move, key=None)
    limits = (await talk.get(QUOTA, key="sim-plan")).json["data"]["limits"]

    assert limits[0]["currentValue"] == int(10 + float(wallet["credits"]))
    assert wallet["spent_elsewhere"] == "0"


async def test_a_key_is_asked_for_before_the_path(talk: Talk) -> None:
    """Without one an unknown path is a 401, with one a 404."""
    assert (await talk.get("/api/paas/v4/nothing", key=None)).json["error"]["code"] == "1001"
    assert (await talk.get("/api/paas/v4/nothing")).status == 404
    assert "glm-5.3" in {model["id"] for model in (await talk.get("/api/paas/v4/models")).json["data"]}
