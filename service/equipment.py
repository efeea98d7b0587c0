"""The equipment: what the folders offer and the operator configured, found and checked at the start."""

from collections.abc import Mapping
from typing import Any

from service import plugs, providers, tools
from service.core.shapes import Provider, Tool
from service.core.wallet import Wallet, WalletError, wallet
from service.errors import SettingsError
from service.mcp.catalogue import Catalogue, build_catalogue
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


def describe_tools(offered: Mapping[str, Tool]) -> Catalogue:
    """Describe the tools as MCP spells it.

    Raises:
        PlugError: a description breaks the protocol's rules.
    """
    return build_catalogue(_definition(tool) for tool in offered.values())


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


def _definition(tool: Tool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": dict(tool.input_schema),
        "annotations": dict(tool.annotations),
    }
    if tool.output_schema is not None:
        definition["outputSchema"] = dict(tool.output_schema)
    return definition
