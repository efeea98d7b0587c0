"""The equipment: what the folders offer and the operator configured, found and checked at the start."""

from collections.abc import Mapping, Sequence

import msgspec

from service import plugs, providers, tools
from service.core.budget import FILTERS
from service.core.entries import BudgetTerms
from service.core.ranges import find_zone
from service.core.shapes import Provider, Tool
from service.core.terms import BudgetTermsError, terms, zone_for
from service.core.wallet import Wallet, WalletError, wallet
from service.errors import InvalidArgumentsError, SettingsError
from service.settings import BudgetSource, Settings


class Stated(msgspec.Struct, frozen=True):
    """The budgets of the operator's file, and what the operator should know about them: one sentence each."""

    budgets: tuple[BudgetTerms, ...]
    warnings: tuple[str, ...]


def load_providers() -> dict[str, Provider]:
    """Find every provider.

    Raises:
        PlugError: a provider's file is malformed.
    """
    members = ("title", "key_variables", "base_url_variable", "base_url", "prepare", "reader", "refusal")
    own = ("default_model", "hosts", "plan", "paths", "model_for", "counters")
    return plugs.load(providers, "PROVIDER", *members, *own)


def load_tools() -> dict[str, Tool]:
    """Find every tool.

    Raises:
        PlugError: a tool's file is malformed.
    """
    members = ("title", "description", "input_schema", "output_schema", "annotations", "run")
    return plugs.load(tools, "TOOL", *members)


def open_wallets(settings: Settings, known: Mapping[str, Provider]) -> tuple[Wallet, ...]:
    """Put the wallets together.

    Raises:
        SettingsError: a key would go where it must not.
    """
    found = []
    for named in settings.wallets:
        provider = known[named.provider]
        base_url = named.base_url or provider.base_url
        try:
            find_zone(named.zone)
        except InvalidArgumentsError as error:
            raise SettingsError(f"the wallet of {provider.title}: {error}", remedy=error.remedy) from error
        try:
            made = wallet(
                provider,
                named.key.reveal(),
                base_url=base_url,
                name=named.name,
                zone=named.zone,
                plan=named.plan,
            )
        except WalletError as error:
            raise SettingsError(
                f"the wallet of {provider.title}: {error}",
                remedy=f"Check {provider.key_variables[0]} and {provider.base_url_variable}.",
            ) from error
        found.append(made)
    return tuple(found)


def open_budgets(settings: Settings, wallets: Sequence[Wallet], known: Mapping[str, Provider]) -> Stated:
    """Judge the budgets that the operator's file states.

    Raises:
        SettingsError: one has no meaning; the error names its place.
    """
    found, warnings = list[BudgetTerms](), list[str]()
    for source in settings.budgets:
        try:
            found.append(_budget(source, wallets))
        except BudgetTermsError as error:
            raise SettingsError(f"{source.place}: {error}", remedy=error.remedy) from error
        for word, names in (("wallet", [one.name for one in wallets]), ("provider", list(known))):
            if (said := getattr(source, word)) is not None and said not in names:
                there = f"there are: {', '.join(names)}"
                warnings.append(f"{source.place}: no attempt has the {word} {said!r} of this budget; {there}")
    return Stated(tuple(found), tuple(warnings))


def _budget(source: BudgetSource, wallets: Sequence[Wallet]) -> BudgetTerms:
    """Take a budget's terms; a zone that it does not name is that of the wallets that it may govern."""
    zones = [
        one.zone
        for one in wallets
        if source.wallet in (None, one.name) and source.provider in (None, one.provider)
    ]
    return terms(
        name=source.name,
        limits=source.limit,
        period=source.period,
        zone=source.zone or zone_for(source.period, zones),
        each=source.each,
        allow_unknown_price=source.allow_unknown_price,
        **{word: getattr(source, word) for word in FILTERS},
    )
