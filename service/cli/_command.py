"""What a command is, and what commands share."""

import os
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from service.environment import Loaded, load
from service.equipment import load_providers
from service.settings import OPTIONS


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of `exai`.

    Attributes:
        name: the file's, with dashes; `ledger-export` is called as `exai ledger export`.
        summary: one line for `exai --help`.
        arguments: adds what the command understands.
        run: does it and gives the exit status.
    """

    name: str
    summary: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]


def add_settings(parser: ArgumentParser, *only: str) -> None:
    """Let the command line set what the environment and exai.toml set, or some of it."""
    for option in OPTIONS:
        if not option.secret and (not only or option.name in only):
            # A switch that is on by itself must have a way to be off.
            action: dict[str, Any] = {"action": BooleanOptionalAction} if option.kind is bool else {}
            parser.add_argument(option.flag, dest=option.name, help=option.sentence, **action)


def read_settings(
    arguments: Namespace, *, environ: Mapping[str, str] = os.environ, keys_needed: bool = False
) -> Loaded:
    """Read the settings in force.

    Args:
        arguments: of the command line.
        environ: of the process.
        keys_needed: whether the command pays with the wallets' keys; others must run without them.

    Raises:
        SettingsError: one is wrong; the message says where it stands.
    """
    said = {option.name: getattr(arguments, option.name, None) for option in OPTIONS}
    given = {name: value for name, value in said.items() if value is not None}
    config, providers = getattr(arguments, "config", None), load_providers().values()
    return load(environ, config, given, providers, keys_needed=keys_needed)
