"""The switches that make a provider lie: what it takes, what it signs, which ids it gives, what it denies."""

from decimal import Decimal
from typing import Any

import pytest

Talk = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported

NONCE = [("X-Msh-Request-Nonce", "nonce-1")]
OTHER = [("X-Msh-Request-Nonce", "nonce-2")]
PAIR = ("Msh-Request-Timestamp", "Msh-Request-Signature")


@pytest.mark.parametrize(
    ("kind", "factor", "times"),
    [("undercharge", 0.5, "0.5"), ("undercharge", 0, "0"), ("overcharge", 1.5, "1.5"), ("overcharge", 20, "20")],
)
async def test_a_bent_bill(talk: Talk, kind: str, factor: float, times: str) -> None:
    """The answer tells what was used, and the wallet pays another price for it."""
    honest = await talk.kimi("hello")
    due = Decimal((await talk.last())["billed"]["amount"])
    await talk.fault(kind, factor=factor)
    bent = await talk.kimi("jello")  # as long, and not cached
    paid = Decimal((await talk.last())["billed"]["amount"])

    assert honest.json["usage"] == bent.json["usage"]
    assert abs(paid - due * Decimal(times)) < Decimal("0.00000001")


@pytest.mark.parametrize(("kind", "factor"), [("undercharge", 1.1), ("undercharge", -1), ("overcharge", 0.9)])
async def test_a_factor_bends_one_way(talk: Talk, kind: str, factor: float) -> None:
    """Anything else is a slip of who sets it."""
    body = {"faults": [{"kind": kind, "factor": factor}]}
    assert (await talk.ask("PUT", "/_sim/faults", body, key=None)).status == 400


async def test_a_relay_gives_no_signature(talk: Talk) -> None:
    """Everything else is there."""
    await talk.fault("no_headers")
    reply = await talk.kimi(headers=NONCE)

    assert not set(PAIR) & set(reply.header)
    assert "Msh-Request-Id" in reply.header


async def test_a_replayed_signature_is_of_an_earlier_request(talk: Talk) -> None:
    """It is the provider's own, and of another nonce; the first answer has none to repeat."""
    await talk.fault("replayed_signature")
    first = await talk.kimi(headers=NONCE)
    second = await talk.kimi(headers=OTHER)
    verdicts = []
    for nonce in ("nonce-1", "nonce-2"):
        claim = {
            "nonce": nonce,
            "timestamp": int(second.header[PAIR[0]]),
            "model": "kimi-k3",
            "signature": second.header[PAIR[1]],
        }
        verdicts.append((await talk.ask("POST", "/v1/signatures/verify", claim)).json["valid"])

    assert [first.header[name] for name in PAIR] == [second.header[name] for name in PAIR]
    assert verdicts == [True, False]


async def test_ids_of_the_answer_before(talk: Talk) -> None:
    """In headers and body; the books tell the two requests apart all the same."""
    await talk.fault("same_id")
    for ask, names in ((talk.kimi, ("Msh-Request-Id", "X-Msh-Trace-Id")), (talk.glm, ("X-LOG-ID", "ga-traceid"))):
        first, second = await ask("a"), await ask("b")
        assert [first.header[name] for name in names] == [second.header[name] for name in names]
        assert first.json["id"] == second.json["id"]
    ids = [entry["request_id"] for entry in (await talk.books())["requests"]]

    assert len(set(ids)) == 4


async def test_after_a_reset_nothing_is_repeated(talk: Talk) -> None:
    """There is no answer before the first."""
    first = await talk.kimi(headers=NONCE)
    await talk.ask("POST", "/_sim/reset", key=None)
    await talk.fault("same_id")
    second = await talk.kimi(headers=OTHER)

    assert first.json["id"] != second.json["id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/users/me/balance", {"error": "url.not_found"}),
        (
            "/api/biz/account/query-customer-account-report",
            {"status": 404, "error": "Not Found", "path": "/api/biz/account/query-customer-account-report"},
        ),
    ],
)
async def test_an_account_route_may_not_be_there(talk: Talk, path: str, body: object) -> None:
    """Each provider says so as it does of any unknown path; a switch may mean one route alone."""
    await talk.fault("error", on="account", status=404, holds=path)
    reply, other = await talk.get(path), await talk.get("/v1/users/me")

    assert (reply.status, reply.json) == (404, body)
    assert other.status == 200
