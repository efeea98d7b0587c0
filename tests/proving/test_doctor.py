"""Tests of the doctor: what each key's account looks like from outside."""

import json
import time
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from service.calling.inquiring import Heard
from service.calling.wire import UnsentError
from service.core.pricing import PriceTable
from service.core.shapes import Prepared, Provider
from service.core.wallet import Wallet, wallet
from service.core.words import UnsentReason
from service.proving.doctor import Severity, WalletSeen, examine, no_wallets, of_one_account
from tests.rig import BEGUN_NS, PRICES, PROVIDERS

KEY = "sk-canary-doctor-0123456789"
DATE = "Sun, 22 Nov 2026 16:21:00 GMT"
BALANCE = {
    "code": 0,
    "data": {"available_balance": 49.58894, "voucher_balance": 46.58893, "cash_balance": 3.00001},
    "scode": "0x0",
    "status": True,
}
ACCOUNT = {
    "code": 0,
    "data": {"organization": {"id": "org-canary", "max_concurrency": 50}, "user_group_id": "enterprise-tier-1"},
    "scode": "0x0",
    "status": True,
}
REPORT = {
    "code": 200,
    "success": True,
    "data": {"availableBalance": 0, "totalSpendAmount": 10, "rechargeAmount": 10, "giveAmount": 0},
}
PACKAGES: dict[str, Any] = {"code": 200, "success": True, "rows": []}
QUOTA = {
    "code": 200,
    "success": True,
    "data": {
        "level": "lite",
        "limits": [
            {
                "type": "CREDIT_LIMIT",
                "unit": 3,
                "number": 5,
                "usage": 2000,
                "currentValue": 402,
                "remaining": 1598,
                "percentage": 20,
                "nextResetTime": 1_795_370_000_000,
            }
        ],
    },
}
PERCENT = json.loads(json.dumps(QUOTA).replace("CREDIT_LIMIT", "TOKENS_LIMIT"))
NO_PLAN = {"code": 500, "msg": "当前用户不存在coding plan", "success": False}
REFUSED = {"error": {"message": "Invalid Authentication", "type": "invalid_authentication_error"}}
NOT_THEIRS = {"code": 401, "msg": "token expired or incorrect", "success": False}


class Still:
    """A clock that stands still."""

    def now_ns(self) -> int:
        """Say the time."""
        return BEGUN_NS

    def monotonic_ns(self) -> int:
        """Say a time for durations."""
        return time.monotonic_ns()


class Answering:
    """An inquirer that answers by the end of a path, and remembers what was asked."""

    def __init__(self, answers: Mapping[str, Any], *, status: int = 200, date: str = DATE) -> None:
        self.asked: list[Prepared] = []
        self._answers = answers
        self._status = status
        self._date = date

    async def ask(self, wallet: Wallet, prepared: Prepared) -> Heard:  # noqa: ARG002 - the shape of an inquirer
        """Answer."""
        self.asked.append(prepared)
        for part, answer in self._answers.items():
            if part in prepared.path:
                return Heard(
                    status=self._status,
                    headers={"date": self._date},
                    body=json.dumps(answer).encode(),
                    tls=None,
                    asked_ns=BEGUN_NS,
                    came_ns=BEGUN_NS,
                )
        raise UnsentError(UnsentReason.NAME_NOT_RESOLVED, "no such host")


def at(provider: str, base_url: str, key: str = KEY, **said: str) -> Wallet:
    """Make a wallet as variables state it, or with a name and a plan as the operator's file does."""
    return wallet(PROVIDERS[provider], key, base_url=base_url, **said)


KIMI_AI = at("kimi", "https://api.moonshot.ai/v1")
KIMI_CN = at("kimi", "https://api.moonshot.cn/v1")
GLM_AI = at("glm", "https://api.z.ai/api/paas/v4")
GLM_PLAN = at("glm", "https://api.z.ai/api/coding/paas/v4")


async def seen(one: Wallet, inquirer: Answering, prices: PriceTable = PRICES) -> WalletSeen:
    """Examine a wallet; no inquiry may cost anything, and no part of the key may be told."""
    found = await examine(inquirer, one, PROVIDERS[one.provider], prices, Still())
    assert {"GET"} == {prepared.method for prepared in inquirer.asked}
    assert KEY not in msgspec.json.encode(found).decode()
    assert "org-canary" not in msgspec.json.encode(found).decode()
    return found


def findings(found: WalletSeen) -> list[tuple[Severity, str]]:
    """Give severity and remedy of each finding."""
    return [(finding.severity, finding.remedy) for finding in found.findings]


async def test_a_wallet_in_order() -> None:
    """Host, plan, currency, fingerprint, tier and limits, the model's price, each counter; nothing to mend."""
    found = await seen(KIMI_AI, Answering({"/balance": BALANCE, "/users/me": ACCOUNT}))
    assert ("valid", "USD", None, True, False) == (
        found.key,
        found.currency,
        found.plan,
        found.own_host,
        found.simulated,
    )
    assert KIMI_AI.fingerprint == found.fingerprint
    assert {"max_concurrency": "50", "tier": "enterprise-tier-1"} == found.tells
    assert ("kimi-k2.6", "priced", 0) == (found.default_model, found.default_price, found.skew_s)
    assert ["balance", "account"] == [counter.counter for counter in found.counters]
    assert () == found.findings


@pytest.mark.parametrize(
    ("one", "remedy"),
    [
        (KIMI_AI, "keys of platform.kimi.com work only at https://api.moonshot.cn/v1: set KIMI_BASE_URL"),
        (KIMI_CN, "keys of platform.kimi.ai work only at https://api.moonshot.ai/v1: set KIMI_BASE_URL"),
    ],
)
async def test_a_key_of_the_other_platform(one: Wallet, remedy: str) -> None:
    """A 401 names the host that the key may belong to."""
    found = await seen(one, Answering({"/users/me": REFUSED}, status=401))
    assert "refused" == found.key
    (finding,) = found.findings
    assert Severity.MEND is finding.severity
    assert "Invalid Authentication" in finding.what
    assert remedy in finding.remedy


async def test_a_key_that_is_refused_with_status_200() -> None:
    """GLM's account services refuse so: the key is refused all the same."""
    found = await seen(GLM_AI, Answering({"/api/": NOT_THEIRS}))
    assert "refused" == found.key
    (finding,) = found.findings
    assert "https://open.bigmodel.cn/api/paas/v4: set GLM_BASE_URL" in finding.remedy


async def test_a_plan_s_key_where_money_pays() -> None:
    """No money and a quota: calls would be refused with 1113; the plan's own path is named."""
    answers = {"account-report": REPORT, "tokenAccounts": PACKAGES, "quota": QUOTA}
    found = await seen(GLM_AI, Answering(answers))
    (finding,) = found.findings
    assert "1113" in finding.what
    assert "set GLM_BASE_URL=https://api.z.ai/api/coding/paas/v4" in finding.remedy


async def test_an_empty_account() -> None:
    """No money and no plan: top it up."""
    answers = {"account-report": REPORT, "tokenAccounts": PACKAGES, "quota": NO_PLAN, "usage-detail": NO_PLAN}
    assert [(Severity.MEND, "Top it up at GLM.")] == findings(await seen(GLM_AI, Answering(answers)))


async def test_an_account_that_a_package_pays_for() -> None:
    """No money and tokens left: nothing would be refused."""
    left = {"rows": [{"status": "EFFECTIVE", "consumeType": "TOKENS", "tokenBalance": 5, "tokensMagnitude": 9}]}
    answers = {"account-report": REPORT, "tokenAccounts": PACKAGES | left, "quota": QUOTA}
    assert () == (await seen(GLM_AI, Answering(answers))).findings


async def test_no_plan_at_a_plan_s_path() -> None:
    """The provider's own word for it, and the path that is paid by the token; said once."""
    found = await seen(GLM_PLAN, Answering({"/api/": NO_PLAN}))
    (finding,) = found.findings
    assert Severity.MEND is finding.severity
    assert "GLM_BASE_URL=https://api.z.ai/api/paas/v4" in finding.remedy


async def test_no_plan_at_a_plan_s_path_of_another_host() -> None:
    """A mainland key is sent to its own host, not to the other platform's."""
    found = await seen(at("glm", "https://open.bigmodel.cn/api/coding/paas/v4"), Answering({"/api/": NO_PLAN}))
    assert ["Set GLM_BASE_URL=https://open.bigmodel.cn/api/paas/v4 to pay by the token."] == [
        finding.remedy for finding in found.findings
    ]


@pytest.mark.parametrize("said", [{"name": "work"}, {"plan": "coding"}])
async def test_no_plan_of_a_wallet_in_the_file(said: dict[str, str]) -> None:
    """It looks at no variable: the lines that it has there are named."""
    one = at("glm", "https://api.z.ai/api/" + ("paas/v4" if "plan" in said else "coding/paas/v4"), **said)
    (finding,) = (await seen(one, Answering({"/api/": NO_PLAN}))).findings
    assert (
        'Set base_url = "https://api.z.ai/api/paas/v4" and plan = "none" of [[wallet]]'
        f" {one.name} in exai.toml to pay by the token."
    ) == finding.remedy


@pytest.mark.parametrize("limits", [QUOTA, PERCENT])
async def test_a_plan_that_nothing_was_drawn_from(limits: dict[str, Any]) -> None:
    """It can be read, and begins with its first use."""
    fresh = json.loads(json.dumps(limits))
    fresh["data"]["limits"][0] |= {"currentValue": 0, "percentage": 0, "nextResetTime": None}
    found = await seen(GLM_PLAN, Answering({"quota": fresh, "usage-detail": NO_PLAN}))
    said = [finding.what for finding in found.findings]
    assert ("valid", True) == (found.key, any("Nothing was drawn from the plan's window" in one for one in said))
    assert not any("No counter" in one for one in said)
    assert (limits is PERCENT) is any("percent only" in one for one in said)


async def test_a_plan_in_order() -> None:
    """Its default model is one that the plan rates."""
    found = await seen(GLM_PLAN, Answering({"quota": QUOTA, "usage-detail": NO_PLAN}))
    assert ("valid", "glm-5.2", "paid by the plan coding") == (found.key, found.default_model, found.default_price)
    (finding,) = found.findings
    assert Severity.NOTE is finding.severity
    assert finding.what.startswith("credit_usage not offered (HTTP 200)")
    assert finding.what.endswith("; another counter can be read.")


async def test_a_plan_that_rates_nothing() -> None:
    """What its calls draw is not known: nothing of it can be proved, whatever its counters say."""
    one = at("kimi", "https://api.kimi.com/coding/v1")
    found = await examine(Answering({}), one, PROVIDERS["kimi"], PRICES, Still())
    assert "not rated by the plan coding" == found.default_price
    (finding,) = (one for one in found.findings if "draws" in one.what)
    assert Severity.WARNING is finding.severity
    assert "by hand" in finding.remedy


class Unrated:
    """GLM with a default model that its plan does not rate."""

    def __init__(self) -> None:
        self.of = PROVIDERS["glm"]

    def __getattr__(self, name: str) -> object:
        return getattr(self.of, name)

    def model_for(self, plan: str | None) -> str:  # noqa: ARG002 - the shape of a provider
        """Name it."""
        return "glm-5.3-flash"


async def test_a_default_model_that_the_plan_does_not_rate() -> None:
    """Every default call would be refused or unproven: the finding names models to ask instead."""
    inquirer = Answering({"quota": QUOTA, "usage-detail": NO_PLAN})
    found = await examine(inquirer, GLM_PLAN, cast("Provider", Unrated()), PRICES, Still())
    assert "not rated by the plan coding" == found.default_price
    (finding,) = (one for one in found.findings if "draws" in one.what)
    assert (Severity.WARNING, "Name one that it rates: glm-4.7, glm-5-turbo, glm-5.2, glm-5.3.") == (
        finding.severity,
        finding.remedy,
    )


@pytest.mark.parametrize(
    ("provider", "origin", "severity", "remedy"),
    [
        (
            "glm",
            "https://open.bigmodel.cn",
            Severity.MEND,
            " or https://open.bigmodel.cn/api/coding/paas/v4.",
        ),
        ("kimi", "https://api.moonshot.ai", Severity.MEND, "Set KIMI_BASE_URL to https://api.moonshot.ai/v1."),
        ("kimi", "https://api.kimi.com", Severity.MEND, "Set KIMI_BASE_URL to https://api.kimi.com/coding/v1."),
        ("kimi", "https://relay.example", Severity.WARNING, "Check KIMI_BASE_URL."),
    ],
)
async def test_a_path_that_the_provider_does_not_know(
    provider: str, origin: str, severity: Severity, remedy: str
) -> None:
    """Every call would fail there, though the counters can be read; a relay may have paths of its own."""
    answers = {"account-report": REPORT, "tokenAccounts": PACKAGES, "/balance": BALANCE, "/users/me": ACCOUNT}
    found = await seen(at(provider, f"{origin}/foo"), Answering(answers))
    (finding,) = (one for one in found.findings if "/foo" in one.what)
    assert (severity, True) == (finding.severity, remedy in finding.remedy)


async def test_a_plan_s_key_at_an_unknown_path() -> None:
    """The plan's address is derived from the host, whatever path was named."""
    answers = {"account-report": REPORT, "tokenAccounts": PACKAGES, "quota": QUOTA}
    found = await seen(at("glm", "https://api.z.ai/foo"), Answering(answers))
    assert any("GLM_BASE_URL=https://api.z.ai/api/coding/paas/v4" in one.remedy for one in found.findings)


async def test_a_plan_in_percent() -> None:
    """It can be read, and is too coarse for a call."""
    found = await seen(GLM_PLAN, Answering({"quota": PERCENT, "usage-detail": NO_PLAN}))
    assert "valid" == found.key
    assert any(finding.severity is Severity.WARNING and "percent" in finding.what for finding in found.findings)


@pytest.mark.parametrize(
    ("date", "skew_s"),
    [
        ("Sun, 22 Nov 2026 16:19:00 GMT", 120),
        ("Mon, 23 Nov 2026 00:19:00 +0800", 120),
        ("yesterday", None),
        ("Mon, 22 Nov 99999999999999999999 16:21:00 GMT", None),
    ],
)
async def test_the_clock(date: str, skew_s: int | None) -> None:
    """More than a minute from the provider's, in whatever zone, is a finding; a date that is none is none."""
    found = await seen(KIMI_AI, Answering({"/balance": BALANCE, "/users/me": ACCOUNT}, date=date))
    assert skew_s == found.skew_s
    assert [Severity.MEND] * (skew_s is not None) == [finding.severity for finding in found.findings]


async def test_nobody_answers() -> None:
    """The network, not the key: that stays unknown."""
    found = await seen(KIMI_AI, Answering({}))
    assert "unknown" == found.key
    assert {(Severity.MEND, "Check the network and KIMI_BASE_URL.")} == set(findings(found))


async def test_a_default_model_that_is_free() -> None:
    """Its calls prove nothing, so another is to be named."""
    nothing = dict.fromkeys(("uncached_input", "cached_input", "output"), "0")
    rows = [msgspec.structs.replace(row, **nothing) for row in PRICES.rows if row.model == "kimi-k2.6"]
    found = await seen(KIMI_AI, Answering({"/balance": BALANCE, "/users/me": ACCOUNT}), PriceTable(tuple(rows)))
    (finding,) = found.findings
    assert ("free", Severity.WARNING) == (found.default_price, finding.severity)
    assert "kimi-k2.6, is free here" in finding.what


async def test_a_model_without_a_price() -> None:
    """What calls cost would be unknown."""
    answers = {"/balance": BALANCE, "/users/me": ACCOUNT}
    found = await seen(KIMI_AI, Answering(answers), PriceTable(()))
    assert [Severity.WARNING] == [finding.severity for finding in found.findings]
    assert "unknown price" == found.default_price


async def test_a_relay() -> None:
    """A real key at somebody else's host: what is answered there proves nothing."""
    found = await seen(at("kimi", "https://relay.example/v1"), Answering({"/users/me": ACCOUNT}))
    assert any("not Kimi's own host" in finding.what for finding in found.findings)


def test_no_key() -> None:
    """It names the variables."""
    finding = no_wallets(PROVIDERS)
    assert (Severity.WARNING, "Set KIMI_API_KEY or GLM_API_KEY.") == (finding.severity, finding.remedy)


async def test_two_keys_that_seem_to_be_of_one_account() -> None:
    """GLM tells no name of an account; one key under two names is no news."""
    body = json.loads(json.dumps(REPORT))
    body["data"] |= {"totalSpendAmount": 1.234567891}
    answers = {"customer-account-report": body, "tokenAccounts": PACKAGES}
    first, second, again = [
        msgspec.structs.replace(
            await seen(at("glm", "https://api.z.ai/api/paas/v4", key), Answering(answers)), name=name
        )
        for name, key in (("a", KEY), ("b", f"{KEY}-2"), ("c", KEY))
    ]
    (found,) = of_one_account([first, second, again])
    assert Severity.WARNING is found.severity
    assert found.what.startswith("a and b state the same money")
    assert () == of_one_account([first, again])
