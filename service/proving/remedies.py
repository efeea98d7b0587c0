"""Remedies: what a person can do about a counter that said nothing, or a request that was refused. Pure."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from service.core.books import ReadingEntry
from service.core.movement import speaks, tells
from service.core.shapes import Provider
from service.core.wallet import NO_PLAN, Wallet
from service.core.words import ReadingOutcome

UNAUTHORISED = 401
NO_PACKAGE = "1113"
"""GLM's word for an empty account; a plan's key on the pay-as-you-go path hears it, too."""

# Each of a provider's platforms has keys of its own, and one host that takes them
# (source: platform.kimi.ai/docs/api/errors; docs.z.ai and docs.bigmodel.cn, api introduction).
_PLATFORMS = {
    "api.moonshot.ai": "platform.kimi.ai",
    "api.moonshot.cn": "platform.kimi.com",
    "api.z.ai": "z.ai",
    "open.bigmodel.cn": "bigmodel.cn",
}
_MONITOR_REFUSALS = frozenset(("401", "1000", "1001", "1002", "1003", "1004"))
_TYPES = frozenset(("invalid_authentication_error", "incorrect_api_key_error"))


def is_of_key(status: int | None, code: str | None) -> bool:
    """Whether a provider refused the key itself; GLM's account services do so with status 200."""
    return status == UNAUTHORISED or (code is not None and code in _MONITOR_REFUSALS | _TYPES)


def of_key(wallet: Wallet, provider: Provider) -> str:
    """Say what to do about a key that is refused: it is wrong, revoked, or of another platform."""
    variable = provider.key_variables[0]
    if wallet.simulated:
        return f"The simulator refuses this key as a provider would: set {variable} to another one, sim-local say."
    others = [
        f"keys of {_PLATFORMS[host]} work only at https://{host}{_path(wallet, provider, host)}:"
        f" set {provider.base_url_variable}"
        for host in sorted(provider.hosts - {wallet.host})
        if host in _PLATFORMS
    ]
    wrong = f"Check {variable}: the key is wrong, revoked, or of another platform"
    return f"{'; '.join([wrong, *others])}."


def untouched(reading: ReadingEntry) -> bool:
    """Whether a plan's counter can be read, and nothing was drawn from its windows yet: none of them has begun."""
    return speaks(reading) and not tells(reading)


def key_state(readings: Sequence[ReadingEntry]) -> str:
    """Say what the provider made of the key: `valid`, `refused`, or `unknown` where nobody said."""
    if any(reading.outcome is ReadingOutcome.READ for reading in readings):
        return "valid"
    refused = any(is_of_key(reading.status, reading.provider_code) for reading in readings)
    return "refused" if refused else "unknown"


def plan_path(wallet: Wallet, provider: Provider) -> str | None:
    """Give the path at the wallet's host where a plan pays; None if there is none."""
    return next((path for path in _paths(wallet, provider) if provider.plan(path) is not None), None)


def of_plan(wallet: Wallet, provider: Provider) -> str:
    """Say where a plan's key pays with its plan."""
    path = plan_path(wallet, provider) or ""
    return _with_url(wallet, provider, f"{_origin(wallet)}{path}", plan=provider.plan(path))


def of_no_plan(wallet: Wallet, provider: Provider) -> str:
    """Say where a key pays by the token: at its own host, for the other platform's refuses it."""
    paid = next((path for path in _paths(wallet, provider) if provider.plan(path) is None), None)
    url = provider.base_url if paid is None else f"{_origin(wallet)}{paid}"
    return f"{_with_url(wallet, provider, url, plan=None)} to pay by the token"


def of_path(wallet: Wallet, provider: Provider) -> str | None:
    """Say what to do about a path at which no request is taken; None where the path is known."""
    if _own_path(wallet) in _paths(wallet, provider):
        return None
    if not (wallet.own_host or wallet.simulated):
        return f"Check {provider.base_url_variable}."
    urls = " or ".join(f"{_origin(wallet)}{path}" for path in _paths(wallet, provider))
    return f"Set {provider.base_url_variable} to {urls}."


def why_not_read(readings: Sequence[ReadingEntry]) -> str:
    """Say in one clause why no counter could be read."""
    said = [_why(reading) for reading in readings if reading.outcome is not ReadingOutcome.READ]
    if any(map(untouched, readings)):
        said.insert(0, "nothing was drawn from the plan's window yet, so there is nothing to compare with")
    return "; ".join(said) or "this provider offers no counter for this wallet"


def of_reading(wallet: Wallet, provider: Provider, readings: Sequence[ReadingEntry]) -> str:
    """Say what to do where no counter could be read, or none that tells anything yet."""
    missing = [reading for reading in readings if reading.outcome is not ReadingOutcome.READ]
    if any(is_of_key(reading.status, reading.provider_code) for reading in missing):
        return of_key(wallet, provider)
    if any(reading.outcome is ReadingOutcome.UNREACHABLE for reading in missing):
        return f"Check the network and {provider.base_url_variable}."
    if any(map(untouched, readings)):
        return "The plan's first use opens its window; what is drawn after the next reading can be compared."
    if wallet.plan is not None and any(reading.outcome is ReadingOutcome.NOT_OFFERED for reading in missing):
        return f"If the account has no plan, {of_no_plan(wallet, provider)}."
    if wallet.currency is None and wallet.plan is None:
        return f"What {wallet.host} bills in is not known; set {provider.base_url_variable} to the provider's own."
    return "Compare the bill on the provider's own pages by hand."


def _with_url(wallet: Wallet, provider: Provider, url: str, *, plan: str | None) -> str:
    """Say how a wallet is sent to another address, and what its plan is there.

    One that stands in the operator's file looks at no variable; nothing else names a wallet or its plan.
    """
    is_named = wallet.name != f"{wallet.provider}-{wallet.fingerprint}"
    if not is_named and wallet.plan == provider.plan(_own_path(wallet)):
        return f"set {provider.base_url_variable}={url}"
    return f'set base_url = "{url}" and plan = "{plan or NO_PLAN}" of [[wallet]] {wallet.name} in exai.toml'


def _own_path(wallet: Wallet) -> str:
    return urlsplit(wallet.base_url).path


def _origin(wallet: Wallet) -> str:
    return wallet.base_url.removesuffix(_own_path(wallet))


def _paths(wallet: Wallet, provider: Provider) -> tuple[str, ...]:
    return provider.paths(urlsplit(wallet.base_url).hostname or "")


def _path(wallet: Wallet, provider: Provider, host: str) -> str:
    """Give the path that pays at another host as the wallet's pays here."""
    paths = provider.paths(host)
    return next((path for path in paths if provider.plan(path) == wallet.plan), paths[0])


def _why(reading: ReadingEntry) -> str:
    status = "" if reading.status is None else f" (HTTP {reading.status})"
    message = f": {reading.message}" if reading.message else ""
    return f"{reading.counter} {reading.outcome.replace('_', ' ')}{status}{message}"
