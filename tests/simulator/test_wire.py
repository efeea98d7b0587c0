"""Each switch does on the wire what it says, and the books tell the truth about it."""

import asyncio
import gzip
import time
from typing import Any

import aiohttp
import pytest

Clock = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported
Talk = Any  # likewise

WALLET = "kimi-1c74c7a0"


async def test_latency_delays_the_headers(talk: Talk) -> None:
    """The answer is whole, only late."""
    await talk.fault("latency", seconds=0.05, next=1)
    started = time.monotonic()
    reply = await talk.kimi()

    assert reply.status == 200
    assert time.monotonic() - started >= 0.05
    assert (await talk.last())["faults"] == ["latency"]


@pytest.mark.parametrize(("billed", "expected"), [(True, False), (False, True)])
async def test_a_hanging_answer_never_comes(talk: Talk, billed: bool, expected: bool) -> None:  # noqa: FBT001 - parametrized
    """The client gives up; whether the work is billed is the switch's choice; the books know no status."""
    await talk.fault("hang", billed=billed)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(talk.kimi(), 0.2)
    entry = await talk.last()

    assert entry["status"] is None
    assert expected == (entry["billed"]["amount"] == "0") == (entry["usage"] is None)


async def test_a_half_open_answer_has_headers_and_no_end(talk: Talk) -> None:
    """200 comes, then silence."""
    await talk.fault("half_open")
    body = {"model": "glm-5.3", "messages": [{"role": "user", "content": "x"}]}
    async with talk.session.post(
        talk.simulator.urls["GLM_BASE_URL"] + "/chat/completions",
        json=body,
        headers={"Authorization": "Bearer sim-one"},
    ) as response:
        assert response.status == 200
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(response.content.read(1), 0.2)


async def test_a_cut_stream_breaks_after_its_chunks(talk: Talk) -> None:
    """Two chunks come, no last word, and the whole work is billed."""
    await talk.fault("cut_stream", chunks=2, next=1)
    reply = await talk.kimi(stream=True)
    entry = await talk.last()

    assert reply.broken
    assert len(reply.lines) == 2
    assert entry["billed"]["amount"] != "0"
    assert entry["reported_usage"] is None
    assert not (await talk.kimi(stream=True)).broken


async def test_a_cut_body_breaks_in_the_middle(talk: Talk) -> None:
    """An answer that is no stream breaks too, and may be for free."""
    await talk.fault("cut_stream", billed=False)
    reply = await talk.glm()

    assert reply.broken
    assert 0 < len(reply.body) < int(reply.header["Content-Length"])
    assert (await talk.last())["billed"]["amount"] == "0"


async def test_wrong_usage_is_told_and_the_true_one_billed(talk: Talk) -> None:
    """The books hold both."""
    await talk.fault("wrong_usage", factor=3)
    reply = await talk.kimi()
    entry = await talk.last()

    assert 3 * entry["usage"]["prompt_tokens"] == reply.json["usage"]["prompt_tokens"]
    assert reply.json["usage"] == entry["reported_usage"]


async def test_usage_can_be_missing_everywhere(talk: Talk) -> None:
    """Neither the finish chunk nor a last chunk nor a whole answer tells it."""
    await talk.fault("wrong_usage", variant="missing")
    stream = await talk.kimi(stream=True, stream_options={"include_usage": True})
    whole = [(await talk.kimi()).json, (await talk.glm()).json]

    assert b"usage" not in stream.body
    assert all("usage" not in answer for answer in whole)
    assert (await talk.last())["reported_usage"] is None


async def test_a_double_bill_takes_the_money_twice(talk: Talk) -> None:
    """The usage told is single, the wallet pays double."""
    await talk.kimi()
    once = (await talk.last())["billed"]["amount"]
    await talk.fault("double_bill")
    await talk.kimi(key="sim-two")

    assert f"{2 * float(once):.9f}".rstrip("0") == (await talk.last())["billed"]["amount"]


@pytest.mark.parametrize(
    ("fault", "status", "name", "waits"),
    [
        ({"status": 429}, 429, "rate_limit_reached_error", "1"),
        ({"type": "engine_overloaded_error"}, 429, "engine_overloaded_error", None),
        ({"type": "exceeded_current_quota_error"}, 429, "exceeded_current_quota_error", None),
        ({"status": 401}, 401, "invalid_authentication_error", None),
        ({"status": 503}, 503, "server_unavailable", None),
        ({"status": 418, "type": "teapot", "message": "short"}, 418, "teapot", None),
        ({"type": "rate_limit_reached_error", "retry_after_s": 7}, 429, "rate_limit_reached_error", "7"),
        ({}, 500, "server_error", None),
    ],
)
async def test_kimi_refuses_by_type(
    talk: Talk, fault: dict[str, Any], status: int, name: str, waits: str | None
) -> None:
    """Type, status and Retry-After are those of the real errors, and nothing is billed."""
    await talk.fault("error", provider="kimi", next=1, **fault)
    reply = await talk.kimi()

    assert (status, name) == (reply.status, reply.json["error"]["type"])
    assert [waits] * 3 == [
        reply.header.get(header) for header in ("Retry-After", "X-Retry-After", "Msh-Cooldown-Seconds")
    ]
    assert (await talk.last())["billed"] == {"amount": "0", "currency": "USD"}
    assert (await talk.kimi()).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 429}, 429, "1302"),
        ({"code": "1113"}, 429, "1113"),
        ({"code": "1234"}, 500, "1234"),
        ({}, 500, "500"),
    ],
)
async def test_glm_refuses_by_code(talk: Talk, fault: dict[str, Any], status: int, code: str) -> None:
    """Code and status are those of the real errors."""
    await talk.fault("error", **fault)
    reply = await talk.glm()

    assert (status, code) == (reply.status, reply.json["error"]["code"])
    assert "Retry-After" not in reply.header


async def test_an_error_may_come_with_a_200(talk: Talk) -> None:
    """In a stream it comes inside the stream."""
    await talk.fault("error", status=200, code="1302", type="server_error")
    whole, glm, kimi = await talk.glm(), await talk.glm(stream=True), await talk.kimi(stream=True)

    assert (whole.status, whole.json["error"]["code"]) == (200, "1302")
    assert glm.chunks[0]["error"]["code"] == "1302"
    assert kimi.chunks[0]["error"]["type"] == "server_error"


async def test_garbage_is_a_200_that_cannot_be_read(talk: Talk) -> None:
    """No JSON in a whole answer, unreadable lines in a stream."""
    await talk.fault("garbage")
    whole, stream = await talk.kimi(), await talk.glm(stream=True)

    assert [whole.status, stream.status] == [200, 200]
    assert whole.body.startswith(b"<html>")
    assert b"{not json" in stream.body
    assert b"[DONE]" not in stream.body


async def test_a_dripping_answer_is_whole_in_the_end(talk: Talk) -> None:
    """It comes in slices, and its bytes are the same."""
    await talk.fault("drip", slice_bytes=200, pause_seconds=0.001)
    reply = await talk.glm()

    assert not reply.broken
    assert int(reply.header["Content-Length"]) == len(reply.body)


async def test_a_skewed_clock_shows_in_date_and_ids(talk: Talk) -> None:
    """A day behind: Date, created and the id's time; the books keep the true time."""
    await talk.fault("clock_skew", seconds=-86_400)
    reply = await talk.glm()

    assert reply.header["Date"] == "Thu, 19 Nov 2026 08:00:00 GMT"
    assert reply.json["id"].startswith("20261119160000")
    assert (await talk.last())["at"].startswith("2026-11-20")


async def test_the_balance_lags_and_the_books_do_not(talk: Talk, clock: Clock) -> None:
    """Sixty seconds later the counter has caught up, on both providers."""
    await talk.fault("billing_lag", seconds=60)
    await talk.kimi("sim:words=1000")
    await talk.glm("sim:words=1000")

    async def moved() -> tuple[bool, bool]:
        kimi = (await talk.get("/v1/users/me/balance")).json["data"]["available_balance"]
        glm = (await talk.get("/api/biz/account/query-customer-account-report")).json["data"]["balance"]
        return kimi != 50, glm != 50

    clock.advance(59)
    assert await moved() == (False, False)
    clock.advance(1)
    assert await moved() == (True, True)
    assert all(wallet["spent"] != "0" for wallet in (await talk.books())["wallets"])


async def test_a_second_spender_moves_the_balance_and_no_request(talk: Talk) -> None:
    """Spent says what our requests cost, spent elsewhere the rest."""
    await talk.fault("second_spender", amount="1.25", next=1)
    await talk.kimi()
    await talk.kimi()
    books = await talk.books()
    wallet = books["wallets"][0]

    assert 2 == len(books["requests"]) == wallet["requests"]
    assert wallet["spent_elsewhere"] == "1.25"
    assert f"{50 - 1.25 - float(wallet['spent']):.9f}".rstrip("0") == wallet["balance"]


async def test_a_redirect_leads_elsewhere_and_costs_nothing(talk: Talk) -> None:
    """A 307 with a Location, unbilled."""
    await talk.fault("redirect", to="http://127.0.0.1:9/x")
    reply = await talk.kimi(stream=True)

    assert (reply.status, reply.header["Location"]) == (307, "http://127.0.0.1:9/x")
    assert (await talk.last())["billed"]["amount"] == "0"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_answer_says_so(talk: Talk, stream: bool) -> None:  # noqa: FBT001 - parametrized
    """The body is gzip, though nobody asked."""
    await talk.fault("gzip")
    reply = await talk.kimi(stream=stream)

    assert reply.header["Content-Encoding"] == "gzip"
    assert b"chatcmpl-" in gzip.decompress(reply.body)


async def test_a_wrong_model_is_named(talk: Talk) -> None:
    """The answer names another, the books the one that was asked for and billed."""
    await talk.fault("wrong_model", model="kimi-imposter")

    assert (await talk.kimi()).json["model"] == "kimi-imposter"
    assert (await talk.last())["model"] == "kimi-k3"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_huge_body_starts_with_blanks(talk: Talk, stream: bool) -> None:  # noqa: FBT001 - parametrized
    """The blanks are legal, only many."""
    await talk.fault("huge_body", padding_bytes=300_000)
    reply = await talk.kimi(stream=stream)

    assert len(reply.body) > 300_000
    assert not reply.broken
    assert stream or reply.json["model"] == "kimi-k3"


async def test_account_routes_have_their_own_faults(talk: Talk) -> None:
    """A fault on the account hits no chat."""
    await talk.fault("error", status=503, on="account")

    assert (await talk.get("/v1/users/me/balance")).status == 503
    assert (await talk.get("/api/biz/account/query-customer-account-report")).status == 503
    assert (await talk.kimi()).status == 200


async def test_a_client_that_leaves_pays_all_the_same(talk: Talk) -> None:
    """The books are complete before the stream ends."""
    await talk.fault("drip", slice_bytes=1, pause_seconds=0.2)
    with pytest.raises((asyncio.TimeoutError, aiohttp.ClientError)):
        await asyncio.wait_for(talk.kimi("sim:words=200", stream=True), 0.2)
    entry = await talk.last()

    assert (
        entry["status"],
        entry["usage"]["completion_tokens"] - entry["usage"]["reasoning_tokens"] - 3,
    ) == (200, 200)
    assert entry["billed"]["amount"] != "0"


async def test_sixty_four_streams_at_once_are_all_whole(talk: Talk) -> None:
    """Nothing is mixed up under load."""
    replies = await asyncio.gather(*[talk.kimi(f"n{n} sim:words=200", stream=True) for n in range(64)])

    assert {"[DONE]"} == {reply.lines[-1] for reply in replies}
    assert (
        64 == len({reply.header["Msh-Request-Id"] for reply in replies}) == len((await talk.books())["requests"])
    )
