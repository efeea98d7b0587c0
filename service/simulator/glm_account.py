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
_MODELS_OF_PACKAGES = "all"


def refusal(standing: Standing) -> dict[str, object]:
    """Refuse a key the way the monitor routes do."""
    if standing == "absent":
        message = "Authentication parameter not received in Header, unable to authenticate"
        return {"code": 1001, "msg": message, "success": False}
    return {"code": 401, "msg": "token expired or incorrect", "success": False}


def no_plan() -> dict[str, object]:
    """Refuse a key without a coding plan, in the words recorded; their code was not, so it is chosen here."""
    return {"code": 500, "msg": "当前用户不存在coding plan", "success": False}


def granted(message: str, body: object) -> dict[str, object]:
    """Answer as the monitor and account routes do."""
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
    return granted(
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


def packages(account: Account, until_ns: int | None) -> dict[str, object]:
    """List the packages of tokens as of a time; the oldest is drawn first."""
    given = [tokens for at_ns, tokens in account.packages if until_ns is None or at_ns <= until_ns]
    drawn = sum(given) - account.package_left(until_ns)
    rows = []
    for number, tokens in enumerate(given, start=1):
        gone = min(drawn, tokens)
        drawn -= gone
        rows.append(
            {
                "id": number,
                "tokenBalance": tokens - gone,
                "availableBalance": tokens - gone,
                "tokensMagnitude": tokens,
                "status": "EFFECTIVE",
                "consumeType": "TOKENS",
                "resourcePackageName": f"package {number}",
                "suitableModel": _MODELS_OF_PACKAGES,
            }
        )
    return {"total": len(rows), "rows": rows, "code": 200, "msg": "Operation successful"}


def quota(account: Account, now_ns: int, until_ns: int | None) -> dict[str, object]:
    """Give the plan's counters: `usage` is the cap, `currentValue` the use, in whole credits.

    A window ends at a time that is told once something was drawn from it, and not before: so it was recorded.
    """
    if not account.plan:
        return no_plan()
    shown_ns = now_ns if until_ns is None else until_ns
    now_ms = now_ns // 10**6
    limits = []
    for unit, number, length_ms, cap in _WINDOWS:
        start_ms = now_ms - now_ms % length_ms
        drawn = sum(nano for at_ns, nano in account.credits if start_ms * 10**6 <= at_ns <= shown_ns)
        used = drawn // NANO
        limit = {
            "type": "CREDIT_LIMIT",
            "unit": unit,
            "number": number,
            "usage": cap,
            "currentValue": used,
            "remaining": max(cap - used, 0),
            "percentage": min(used * 100 // cap, 100),
        }
        limits.append({**limit, "nextResetTime": start_ms + length_ms} if drawn else limit)
    return granted("Operation successful", {"level": "lite", "limits": limits})


def models(account: Account) -> dict[str, object]:
    """List the models this account may call."""
    return {
        "object": "list",
        "data": [
            {"id": model, "object": "model", "created": _CREATED, "owned_by": "z-ai"}
            for model in offered("glm", account.currency)
        ],
    }
