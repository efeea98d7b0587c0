"""GLM's own books: money spent, packages of tokens, and what a plan counts. No page of the provider promises them.

Sources: the provider's own plug-in for usage queries, the account pages' own services, and recorded answers. These
services refuse with status 200, too: `success` and `code` tell.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.core.books import Figure
from service.core.evidence import Signature
from service.core.money import decimal_text
from service.core.shapes import Counters, Inquiry, Stated
from service.core.usage import Usage
from service.core.words import ReadingOutcome
from service.providers import _glm_plan
from service.providers._counting import Refusing, figure, get, not_read, pico_of, stated, told, unreadable
from service.providers._json import Fields, fields, items, string

REPORT = "account_report"
PACKAGES = "packages"
QUOTA = "quota"
CREDIT_USAGE = "credit_usage"
RESOLUTION = "0.000000001"
SETTLING_S = 900.0  # no page says how far these counters lag: a guess on the safe side
PACKAGES_MAX = 100

_REPORT_PATH = "/api/biz/account/query-customer-account-report"
_PACKAGES_PATH = f"/api/biz/tokenAccounts/list/my?pageNum=1&pageSize={PACKAGES_MAX}&filterEnabled=false"
_QUOTA_PATH = "/api/monitor/usage/quota/limit"
_FIGURES = (
    ("spent", "totalSpendAmount"),
    ("available", "availableBalance"),
    ("recharged", "rechargeAmount"),
    ("given", "giveAmount"),
)
_NO_PLAN = "coding plan"  # "当前用户不存在coding plan"; its code was not recorded


class GlmCounters:
    """What GLM's account services say of a key's account.

    Args:
        refusing: names the provider's errors.
    """

    names: tuple[str, ...] = (REPORT, PACKAGES, QUOTA, CREDIT_USAGE)
    settling_s = SETTLING_S
    packages: str | None = PACKAGES
    still: tuple[str, ...] = ()

    def __init__(self, refusing: Refusing) -> None:
        self._refusing = refusing

    def inquiries(self, *, plan: str | None, at_ns: int) -> tuple[Inquiry, ...]:
        """Ask a plan's wallet for the plan's counters and never for money, any other for money and packages."""
        if plan is None:
            paths = {REPORT: _REPORT_PATH, PACKAGES: _PACKAGES_PATH}
        else:
            paths = {QUOTA: _QUOTA_PATH, CREDIT_USAGE: _glm_plan.usage_path(at_ns)}
        return tuple(Inquiry(counter=name, prepared=get(path, rooted=True)) for name, path in paths.items())

    def stated(
        self,
        counter: str,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        *,
        currency: str | None,
        at_ns: int,
    ) -> Stated:
        """Read an answer; see the contract of `Counters`."""
        refusal = not_read(status, headers, body, self._refusing)
        if refusal is not None:
            return _without_plan(refusal)
        found = fields(body) or {}
        if counter == PACKAGES:
            return _packages(found)
        said = fields(found.get("data"))
        if said is None:
            return unreadable("the answer holds no data")
        if counter == REPORT:
            return _report(said, currency)
        return _glm_plan.quota(said) if counter == QUOTA else _glm_plan.credit_usage(said, at_ns)

    def drawn_pico(self, *, plan: str, model: str, usage: Usage, at_ns: int) -> int | None:
        """Say what an attempt draws in 10⁻¹² credits; None for a model that the plan's page does not rate."""
        return _glm_plan.drawn_pico(model, usage, at_ns) if plan == _glm_plan.CODING else None

    def verification(self, signature: Signature) -> Inquiry | None:  # noqa: ARG002 - the shape of every provider's
        """Nothing is signed."""
        return None

    def verified(self, status: int, body: bytes) -> bool | None:  # noqa: ARG002 - as above
        """Nothing is asked."""
        return None


def _without_plan(refusal: Stated) -> Stated:
    """Tell who has no plan, and so no such counter, from who may not ask."""
    if refusal.outcome is not ReadingOutcome.REFUSED or _NO_PLAN not in refusal.message.lower():
        return refusal
    return Stated(outcome=ReadingOutcome.NOT_OFFERED, message=refusal.message, provider_code=refusal.provider_code)


def _report(said: Fields, currency: str | None) -> Stated:
    if currency is None:
        return unreadable("a report names no currency, and what this host bills in is not known")
    figures = [figure(name, said.get(field), currency, RESOLUTION) for name, field in _FIGURES]
    read = tuple(each for each in figures if each is not None)
    if not {"spent", "available"} & {each.name for each in read}:
        return unreadable("the report states neither what was spent nor what is left")
    return stated(read, told("credit", said.get("creditStatus")))


def _packages(found: Fields) -> Stated:
    """Add up what is left of the packages of tokens that are in force; those of uses pay for no tokens.

    How many there are and how much they held at first, used up or lapsed ones too, tells of one that was bought
    and used up between two readings.
    """
    if "rows" not in found:
        return unreadable("the answer lists no packages")
    rows = [row for row in map(fields, items(found["rows"])) if row is not None and _is_of_tokens(row)]
    if len(rows) >= PACKAGES_MAX:
        return unreadable("there are more packages than one answer lists")
    left = cap = count = held = 0
    for row in rows:
        tokens, size = pico_of(row.get("tokenBalance")), pico_of(row.get("tokensMagnitude")) or 0
        held += abs(size)
        if string(row.get("status")) != "EFFECTIVE":
            continue
        if tokens is None:
            return unreadable("a package does not state what is left of it")
        left, cap, count = left + tokens, cap + size, count + 1
    tokens_left = Figure(
        name="package_tokens",
        amount=decimal_text(left),
        unit="tokens",
        resolution="1",
        cap=decimal_text(cap) if cap else None,
    )
    listed = {"packages": str(count), "packages_listed": str(len(rows)), "packages_held": decimal_text(held)}
    return stated((tokens_left,), listed)


def _is_of_tokens(row: Fields) -> bool:
    return string(row.get("consumeType")) in {None, "TOKENS"}


if TYPE_CHECKING:
    _: type[Counters] = GlmCounters
