"""GLM's account routes: what the provider says about models, money and the coding plan's quota. Pure bodies.

The monitor and account routes answer 200 even when they refuse: `success` and `code` tell. They are not in the
provider's documentation; the shapes are those its own plug-in and other clients read.
"""

import msgspec

from service.simulator.accounts import Account, Standing
from service.simulator.rates import NANO, offered

_HOUR_MS = 3_600_000
_WINDOWS = ((3, 5, 5 * _HOUR_MS, 2_000), (6, 1, 7 * 24 * _HOUR_MS, 10_000))  # unit, number, length, cap (lite)
_CREATED = 1_780_000_000


def refusal(standing: Standing) -> dict[str, object]:
    """Refuse a key the way the monitor routes do."""
    if standing == "absent":
        message = "Authentication parameter not received in Header, unable to authenticate"
        return {"code": 1001, "msg": message, "success": False}
    return {"code": 401, "msg": "token expired or incorrect", "success": False}


def _granted(message: str, body: object) -> dict[str, object]:
    return {"code": 200, "msg": message, "success": True, "data": body}


def _nine(nano: int) -> msgspec.Raw:
    """Write money as a JSON number with nine decimals; zero is `0E-9`, as recorded."""
    if nano == 0:
        return msgspec.Raw(b"0E-9")
    whole, rest = divmod(abs(nano), NANO)
    return msgspec.Raw(f"{'-' if nano < 0 else ''}{whole}.{rest:09d}".encode())


def _six(nano: int) -> msgspec.Raw:
    return msgspec.Raw(f"{nano // NANO}.{nano % NANO // 1000:06d}".encode())


def report(account: Account, until_ns: int | None) -> dict[str, object]:
    """Give the account report as of a time; `totalSpendAmount` only ever grows."""
    sums = account.until(until_ns)
    spent = sums["billed"] + sums["elsewhere"]
    recharged = account.start_nano + sums["topup"]
    left = recharged + sums["voucher"] - spent
    return _granted(
        "操作成功" if account.currency == "CNY" else "Operation successful",
        {
            "balance": _nine(left),
            "rechargeAmount": _six(recharged),
            "giveAmount": _six(sums["voucher"]),
            "totalSpendAmount": _nine(spent),
            "todaySpendAmount": None,
            "availableBalance": _nine(left),
            "frozenBalance": _nine(0),
            "creditBalance": None,
            "availableCreditBalance": None,
            "creditStatus": "NOT_OPEN",
            "modelSpendAmountList": None,
            "isKA": False,
        },
    )


def quota(account: Account, now_ns: int) -> dict[str, object]:
    """Give the plan's counters: `usage` is the cap, `currentValue` the use, in whole credits."""
    now_ms = now_ns // 10**6
    limits = []
    for unit, number, length_ms, cap in _WINDOWS:
        start_ms = now_ms - now_ms % length_ms
        used = sum(nano for at_ns, nano in account.credits if at_ns >= start_ms * 10**6) // NANO
        limits.append(
            {
                "type": "CREDIT_LIMIT",
                "unit": unit,
                "number": number,
                "usage": cap,
                "currentValue": used,
                "remaining": max(cap - used, 0),
                "percentage": min(used * 100 // cap, 100),
                "nextResetTime": start_ms + length_ms,
            }
        )
    return _granted("Operation successful", {"level": "lite", "limits": limits})


def models(account: Account) -> dict[str, object]:
    """List the models this account may call."""
    return {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": _CREATED, "owned_by": "z-ai"}
            for model in offered("glm", account.currency)
        ],
    }
