"""Kimi's account routes: what the provider says about models, money and signatures. Pure bodies.

Source: platform.kimi.ai/docs/api (list models, check balance, estimate tokens, verify request signatures).
"""

from decimal import ROUND_HALF_UP, Decimal

import msgspec

from service.simulator.accounts import Account
from service.simulator.asked import Message
from service.simulator.kimi import TEMPLATE, context_tokens
from service.simulator.rates import NANO, offered
from service.simulator.signature import Claim, Seal
from service.simulator.text import count_prompt

_VOUCHER_SHARE = Decimal("0.94")
_CREATED = 1_780_000_000


class Estimate(msgspec.Struct):
    """What a client asks to have counted."""

    model: str
    messages: list[Message]


def _number(nano: int) -> msgspec.Raw:
    """Write money as a JSON number of at most five decimals, as the provider's counter does."""
    amount = (Decimal(nano) / NANO).quantize(Decimal("0.00001"), ROUND_HALF_UP).normalize()
    return msgspec.Raw(f"{amount:f}".encode())


def balance(account: Account, until_ns: int | None) -> dict[str, object]:
    """Give the balance as of a time: vouchers are drawn before cash, and debt makes it what the vouchers are."""
    sums = account.until(until_ns)
    gone = sums["billed"] + sums["elsewhere"]
    voucher = int(account.start_nano * _VOUCHER_SHARE)
    cash = account.start_nano - voucher + sums["topup"]
    voucher += sums["voucher"]
    # The counter's grain is 0.00001: what is gone is rounded once, so that the three numbers always agree.
    grain = NANO // 100_000
    gone = (gone + grain // 2) // grain * grain
    drawn = min(voucher, gone)
    voucher, cash = voucher - drawn, cash - (gone - drawn)
    available = voucher if cash < 0 else voucher + cash
    return {
        "code": 0,
        "data": {
            "available_balance": _number(available),
            "voucher_balance": _number(voucher),
            "cash_balance": _number(cash),
        },
        "scode": "0x0",
        "status": True,
    }


def me(account: Account) -> dict[str, object]:
    """Give the limits of the account's organisation."""
    mark = account.wallet.rpartition("-")[2]
    return {
        "code": 0,
        "data": {
            "access_key": {"id": f"ak-{mark}"},
            "organization": {
                "id": f"org-{mark}",
                "max_concurrency": 100,
                "max_request_per_minute": 5000,
                "max_token_per_minute": 2_000_000,
                "max_token_quota": 0,
            },
            "project": {"id": f"proj-{mark}"},
            "user": {"id": f"user-{mark}", "user_state": "active"},
            "user_group_id": "enterprise-tier-1",
        },
        "scode": "0x0",
        "status": True,
    }


def models(account: Account) -> dict[str, object]:
    """List the models this account may call."""
    return {
        "object": "list",
        "data": [
            {
                "id": model,
                "object": "model",
                "created": _CREATED,
                "owned_by": "moonshot",
                "context_length": context_tokens(model),
                "supports_image_in": True,
                "supports_video_in": False,
                "supports_reasoning": True,
            }
            for model in offered("kimi", account.currency)
        ],
    }


def estimate(body: bytes) -> dict[str, object]:
    """Count the input tokens of a conversation; raises ValueError when it cannot be read."""
    try:
        asked = msgspec.json.decode(body, type=Estimate)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return {"data": {"total_tokens": count_prompt(asked.messages, TEMPLATE)}}


def verify(seal: Seal, body: bytes) -> dict[str, object]:
    """Tell whether a signature is this provider's; raises ValueError when the question cannot be read."""
    try:
        claim = msgspec.json.decode(body, type=Claim)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return {"valid": seal.recognises(claim)}
