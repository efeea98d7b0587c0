"""Kimi answers over HTTP as the real one was seen to."""

import hashlib
import json
import re
import uuid
from typing import Any

import pytest

Clock = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported
Talk = Any  # likewise

BODY = {"model": "kimi-k3", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_miss_has_no_cache_keys_and_a_hit_has_both(talk: Talk) -> None:
    """The keys are absent on a miss; on a hit they are flat, nested, and in the header."""
    miss, hit = await talk.kimi(), await talk.kimi()

    assert {"prompt_tokens", "completion_tokens", "total_tokens", "completion_tokens_details"} == set(
        miss.json["usage"]
    )
    assert "Msh-Context-Cache-Token-Saved" not in miss.header
    usage = hit.json["usage"]
    assert usage["prompt_tokens"] == usage["cached_tokens"] == usage["prompt_tokens_details"]["cached_tokens"]
    assert str(usage["cached_tokens"]) == hit.header["Msh-Context-Cache-Token-Saved"]


async def test_ids_have_their_forms(talk: Talk, clock: Clock) -> None:
    """A UUID of version 1 holding the time, a 24 digit answer id, a 32 digit trace id, the simulator's mark."""
    reply = await talk.kimi()
    request_id = uuid.UUID(reply.header["Msh-Request-Id"])

    assert request_id.version == 1
    assert clock.ns // 100 == request_id.time - 0x01B21DD213814000
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", reply.json["id"])
    assert re.fullmatch(r"[0-9a-f]{32}", reply.header["X-Msh-Trace-Id"])
    assert reply.header["Server"] == "cloudflare"
    assert reply.header["Exai-Simulator"] == "1"


async def test_a_stream_tells_usage_in_the_choice_and_again_when_asked(talk: Talk) -> None:
    """Role first, thought before text, usage on the finish chunk, then alone with no choices."""
    plain = await talk.kimi(stream=True)
    asked = await talk.kimi("other", stream=True, stream_options={"include_usage": True})

    assert plain.chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert plain.chunks[-1]["choices"][0]["usage"]["total_tokens"] > 0
    assert "usage" not in plain.chunks[-1]
    assert asked.chunks[-1]["choices"] == []
    assert asked.chunks[-1]["usage"] == asked.chunks[-2]["choices"][0]["usage"]
    kinds = [next(iter(chunk["choices"][0]["delta"]), "") for chunk in plain.chunks[1:]]
    assert kinds == sorted(kinds, key=["reasoning_content", "content", ""].index)
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in plain.chunks)
    assert text == "Simulated answer to: hello"


async def test_a_temperature_is_refused_with_the_recorded_words(talk: Talk) -> None:
    """Only 1 is allowed, and the refusal is written down as unbilled."""
    reply = await talk.kimi(temperature=0.3)

    assert reply.status == 400
    assert reply.json == {
        "error": {
            "message": "invalid temperature: only 1 is allowed for this model",
            "type": "invalid_request_error",
        }
    }
    assert (await talk.last())["billed"] == {"amount": "0", "currency": "USD"}
    assert (await talk.kimi(temperature=1)).status == 200


@pytest.mark.parametrize(
    ("key", "status", "name"),
    [
        ("sim-revoked-1", 401, "invalid_authentication_error"),
        ("someone", 401, "invalid_authentication_error"),
        (None, 401, "incorrect_api_key_error"),
        ("sim-empty-1", 429, "exceeded_current_quota_error"),
    ],
)
async def test_keys_that_do_not_work_are_told_so(talk: Talk, key: str | None, status: int, name: str) -> None:
    """Each gets the provider's own error, without a Retry-After, and stands in the books."""
    reply = await talk.kimi(key=key)

    assert (status, name) == (reply.status, reply.json["error"]["type"])
    assert "Retry-After" not in reply.header
    entry = await talk.last()
    assert (status, name, None) == (entry["status"], entry["error"], entry["usage"])


async def test_an_unknown_model_is_not_found(talk: Talk) -> None:
    """The sentence names it; CNY accounts are offered fewer."""
    reply = await talk.kimi(model="kimi-k9")
    scarce = await talk.kimi(model="kimi-k2.7-code", key="sim-cny-1")

    assert (reply.status, reply.json["error"]["type"]) == (404, "resource_not_found_error")
    assert reply.json["error"]["message"] == "Not found the model kimi-k9 or Permission denied"
    assert scarce.status == 404


async def test_an_unknown_route_is_a_string(talk: Talk) -> None:
    """The error is no object there; a known path under a wrong method is unknown too."""
    assert ((reply := await talk.get("/v1/nothing")).status, reply.json) == (404, {"error": "url.not_found"})
    assert (await talk.get("/v1/chat/completions")).status == 404


async def test_one_nonce_is_signed_and_the_signature_verifies(talk: Talk) -> None:
    """The signature holds for this nonce, time and model, and for no other."""
    reply = await talk.kimi(headers=[("X-Msh-Request-Nonce", "n-1")])
    claim = {
        "nonce": "n-1",
        "timestamp": int(reply.header["Msh-Request-Timestamp"]),
        "model": "kimi-k3",
        "signature": reply.header["Msh-Request-Signature"],
    }
    good = await talk.ask("POST", "/v1/signatures/verify", claim)
    bad = await talk.ask("POST", "/v1/signatures/verify", {**claim, "nonce": "n-2"})
    rubbish = await talk.ask("POST", "/v1/signatures/verify", {"nonce": 1})

    assert claim["signature"].startswith("reqsigv1_")
    assert (good.json, bad.json, rubbish.status) == ({"valid": True}, {"valid": False}, 400)
    assert good.header["Cache-Control"] == "no-store"
    assert (await talk.last())["nonce"] == "n-1"


@pytest.mark.parametrize("nonces", [[], ["a", "b"], [""]])
async def test_any_other_number_of_nonces_is_not_signed(talk: Talk, nonces: list[str]) -> None:
    """The request runs, the headers are just not there."""
    reply = await talk.kimi(headers=[("X-Msh-Request-Nonce", nonce) for nonce in nonces])

    assert reply.status == 200
    assert "Msh-Request-Signature" not in reply.header


async def test_thinking_can_be_switched_off_where_the_model_lets_it(talk: Talk) -> None:
    """k2.6 may, k2.7-code must think, k3 does not listen."""
    off = {"thinking": {"type": "disabled"}}
    calm = await talk.kimi(model="kimi-k2.6", **off)
    code = await talk.kimi(model="kimi-k2.7-code", **off)
    deep = await talk.kimi(**off)

    assert "reasoning_content" not in calm.json["choices"][0]["message"]
    assert "completion_tokens_details" not in calm.json["usage"]
    assert code.status == 400
    assert "reasoning_content" in deep.json["choices"][0]["message"]


async def test_the_balance_has_five_decimals_and_moves_by_the_bill(talk: Talk) -> None:
    """What is available is voucher and cash, rounded to the counter's grain."""
    before = (await talk.get("/v1/users/me/balance")).json["data"]
    await talk.kimi("sim:words=1000")
    reply = await talk.get("/v1/users/me/balance")
    after = reply.json["data"]
    amount = float((await talk.last())["billed"]["amount"])

    assert before == {"available_balance": 50, "voucher_balance": 47, "cash_balance": 3}
    assert abs(before["available_balance"] - amount - after["available_balance"]) <= 0.000005
    assert re.search(rb'"available_balance":49\.\d{1,5},', reply.body)
    assert "Msh-Request-Id" in reply.header


async def test_account_routes_answer_in_shape(talk: Talk) -> None:
    """Models, limits and the token estimate; a revoked key gets the error envelope."""
    models = (await talk.get("/v1/models")).json
    me = (await talk.get("/v1/users/me")).json
    estimate = await talk.ask("POST", "/v1/tokenizers/estimate-token-count", BODY)
    revoked = await talk.get("/v1/users/me/balance", key="sim-revoked")

    assert "kimi-k3" in {model["id"] for model in models["data"]}
    assert {"access_key", "organization", "project", "user", "user_group_id"} == set(me["data"])
    assert estimate.json == {"data": {"total_tokens": 81}}
    assert (revoked.status, revoked.json["error"]["type"]) == (401, "invalid_authentication_error")


async def test_the_books_hold_the_exact_bill(talk: Talk) -> None:
    """Billed is usage times rate, and the wallet is named by the key's hash."""
    reply = await talk.kimi()
    usage = reply.json["usage"]
    entry = await talk.last()
    wallet = (await talk.books())["wallets"][0]
    nano = usage["prompt_tokens"] * 3000 + usage["completion_tokens"] * 15_000

    assert f"{nano / 1e9:.9f}".rstrip("0") == entry["billed"]["amount"] == wallet["spent"]
    assert reply.header["Msh-Request-Id"] == entry["request_id"]
    assert reply.json["id"] == entry["provider_id"]
    assert reply.json["usage"] == entry["reported_usage"]
    mark = hashlib.sha256(b"sim-one").hexdigest()[:8]
    assert f"kimi-{mark}" == entry["wallet"] == wallet["wallet"]
    assert entry["at"] == "2026-11-20T08:00:00.000000Z"


async def test_an_oversize_request_is_refused_and_written_down(talk: Talk) -> None:
    """Above the message limit nothing is worked on."""
    body = json.dumps({**BODY, "messages": [{"role": "user", "content": "x" * 4_300_000}]}).encode()
    reply = await talk.ask("POST", "/v1/chat/completions", body)
    rubbish = await talk.ask("POST", "/v1/chat/completions", b"{")
    monstrous = await talk.ask("POST", "/v1/chat/completions", b" " * (17 << 20))

    assert [reply.status, rubbish.status, monstrous.status] == [400, 400, 400]
    assert "exceeds limit 4194304" in reply.json["error"]["message"]
    assert len((await talk.books())["requests"]) == 3
