"""The equipment: what the folders offer and the operator configured, found and checked at the start."""

from collections.abc import Mapping

from service import plugs, providers, tools
from service.core.shapes import Provider, Tool
from service.core.wallet import Wallet, WalletError, wallet
from service.errors import SettingsError
from service.settings import Settings


def load_providers() -> dict[str, Provider]:
    """Find every provider.

    Raises:
        PlugError: a provider's file is malformed.
    """
    members = ("title", "key_variables", "base_url_variable", "base_url", "prepare", "reader", "refusal")
    return plugs.load(providers, "PROVIDER", *members)


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
            found.append(wallet(provider, named.key.reveal(), base_url=base_url, name=named.name))
        except WalletError as error:
            raise SettingsError(
                f"the wallet of {provider.title}: {error}",
                remedy=f"Check {provider.key_variables[0]} and {provider.base_url_variable}.",
            ) from error
    return tuple(found)
