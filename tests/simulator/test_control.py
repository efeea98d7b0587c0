"""The judge's door: books, switches, reset."""

import json
from pathlib import Path
from typing import Any

Talk = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported
Clock = Any


async def test_the_books_have_the_promised_fields(talk: Talk) -> None:
    """Requests and wallets, with the fields a judge reads."""
    await talk.kimi()
    books = await talk.books()

    assert {"request_id", "provider", "wallet", "model", "status", "usage", "billed", "at", "nonce"} < set(
        books["requests"][0]
    )
    assert {"wallet", "provider", "currency", "balance", "spent", "requests"} < set(books["wallets"][0])


async def test_a_bad_switch_is_a_400_with_the_kinds(talk: Talk) -> None:
    """The sentence helps; the switches stay as they were."""
    await talk.fault("drip")
    reply = await talk.ask("PUT", "/_sim/faults", {"faults": [{"kind": "no"}]}, key=None)
    shown = (await talk.get("/_sim/faults", key=None)).json

    assert reply.status == 400
    assert "cut_stream" in reply.json["error"]
    assert [fault["kind"] for fault in shown["faults"]] == ["drip"]
    assert "hang" in shown["kinds"]


async def test_reset_forgets_everything(talk: Talk) -> None:
    """Books, caches, client ids and switches are new; ids go on."""
    first = await talk.glm("x" * 400, request_id="r")
    await talk.fault("error")
    await talk.ask("POST", "/_sim/reset", key=None)
    again = await talk.glm("x" * 400, request_id="r")

    assert again.status == 200
    assert again.json["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert first.json["id"] != again.json["id"]
    assert len((await talk.books())["requests"]) == 1


async def test_money_moves_without_a_request(talk: Talk) -> None:
    """Spending elsewhere, top-ups and vouchers each move the balance; strangers' wallets do not exist."""
    await talk.kimi(model="nothing")
    wallet = (await talk.books())["wallets"][0]["wallet"]
    for kind, amount in (("elsewhere", "1"), ("topup", "10"), ("voucher", "0.5")):
        await talk.ask("POST", "/_sim/move", {"wallet": wallet, "kind": kind, "amount": amount}, key=None)
    data = (await talk.get("/v1/users/me/balance")).json["data"]
    missing = await talk.ask("POST", "/_sim/move", {"wallet": "x", "kind": "topup", "amount": "1"}, key=None)
    rubbish = await talk.ask("POST", "/_sim/move", {"wallet": wallet, "kind": "gift", "amount": "1"}, key=None)

    assert data == {"available_balance": 59.5, "voucher_balance": 46.5, "cash_balance": 13}
    assert (await talk.books())["wallets"][0]["balance"] == "59.5"
    assert [missing.status, rubbish.status] == [404, 400]


async def test_a_package_pays_before_cash(talk: Talk) -> None:
    """As long as it holds a whole answer; what is left is listed, and the books count it."""
    await talk.glm()
    before = (await talk.books())["wallets"][0]
    for kind in ("package", "package"):
        move = {"wallet": before["wallet"], "kind": kind, "tokens": 60}
        assert (await talk.ask("POST", "/_sim/move", move, key=None)).status == 200
    await talk.glm()
    paid, after = await talk.last(), (await talk.books())["wallets"][0]
    rows = (await talk.get("/api/biz/tokenAccounts/list/my")).json["rows"]
    tokens = paid["usage"]["total_tokens"]

    assert (paid["billed"]["amount"], paid["package_tokens"]) == ("0", tokens)
    assert before["spent"] == after["spent"]
    assert (after["packages"], after["package_tokens"]) == ([60, 60], 120 - tokens)
    assert [60 - min(tokens, 60), 60 - max(tokens - 60, 0)] == [row["tokenBalance"] for row in rows]
    assert {("EFFECTIVE", 60)} == {(row["status"], row["tokensMagnitude"]) for row in rows}


async def test_packages_are_listed_as_late_as_money_is_told(talk: Talk, clock: Clock) -> None:
    """One that was given a moment ago is not among them while the books lag, used up or not."""
    await talk.glm()
    (wallet,) = (await talk.books())["wallets"]
    await talk.ask("POST", "/_sim/move", {"wallet": wallet["wallet"], "kind": "package", "tokens": 60}, key=None)
    await talk.fault("billing_lag", seconds=60)
    listed = [(await talk.get("/api/biz/tokenAccounts/list/my")).json["rows"]]
    clock.advance(61)
    listed.append((await talk.get("/api/biz/tokenAccounts/list/my")).json["rows"])

    assert [[], [60]] == [[row["tokenBalance"] for row in rows] for rows in listed]


async def test_a_package_that_is_too_small_pays_nothing(talk: Talk) -> None:
    """Then cash pays the whole answer."""
    await talk.glm()
    wallet = (await talk.books())["wallets"][0]["wallet"]
    await talk.ask("POST", "/_sim/move", {"wallet": wallet, "kind": "package", "tokens": 1}, key=None)
    await talk.glm("another")
    entry = await talk.last()

    assert entry["package_tokens"] == 0
    assert entry["billed"]["amount"] != "0"


async def test_what_moves_must_be_stated(talk: Talk) -> None:
    """A package has tokens and is one provider's; all else has an amount."""
    await talk.glm()
    await talk.kimi()
    glm, kimi = (wallet["wallet"] for wallet in (await talk.books())["wallets"])
    moves = (
        {"wallet": glm, "kind": "package"},
        {"wallet": kimi, "kind": "package", "tokens": 5},
        {"wallet": glm, "kind": "package", "tokens": 0},
        {"wallet": glm, "kind": "topup"},
    )
    replies = [await talk.ask("POST", "/_sim/move", move, key=None) for move in moves]

    assert [400] * 4 == [reply.status for reply in replies]


async def test_debt_leaves_what_the_vouchers_are(talk: Talk) -> None:
    """With cash below zero nothing is available, and the next request is refused."""
    await talk.kimi()
    wallet = (await talk.books())["wallets"][0]["wallet"]
    await talk.ask("POST", "/_sim/move", {"wallet": wallet, "kind": "elsewhere", "amount": "60"}, key=None)
    data = (await talk.get("/v1/users/me/balance")).json["data"]

    assert (data["available_balance"], data["voucher_balance"]) == (0, 0)
    assert data["cash_balance"] < -10
    assert (await talk.kimi()).status == 429


async def test_an_unknown_door_says_which_there_are(talk: Talk) -> None:
    """A wrong path under `/_sim/` is no provider's path."""
    reply = await talk.get("/_sim/nothing", key=None)

    assert reply.status == 404
    assert "books" in reply.json["error"]


async def test_every_request_has_its_line_in_the_file(talk: Talk, tmp_path: Path) -> None:
    """The line is there when the answer is, and says the same as the books."""
    await talk.kimi()
    await talk.glm(key="sim-revoked")
    lines = (tmp_path / "books.jsonl").read_text().splitlines()

    assert (await talk.books())["requests"] == [json.loads(line) for line in lines]
