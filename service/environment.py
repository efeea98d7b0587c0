"""Where settings come from: the command line, then the environment, then `exai.toml`, then the default.

An empty variable counts as not set, as compose files leave them. Nothing that is said here shows a secret.
"""

import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
from msgspec.structs import fields

from service.errors import SettingsError
from service.inherited import INSTEAD
from service.secret import Secret
from service.settings import (
    OPTIONS,
    VARIABLE_PREFIX,
    BudgetSource,
    KeyNames,
    Option,
    Settings,
    WalletSource,
)
from service.settings_file import ConfigFile, expanded, nearest, read_text, shown

CONFIG_VARIABLE = "EXAI_CONFIG"
STORE_VARIABLE = "EXAI_STORE"
_STORE_SCHEME = "sqlite:///"
_FILE = "_FILE"
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text", "array": "a list"}
_WALLET_KEYS = ("name", "provider", "base_url", "key_env", "key_file", "plan", "zone")
_BUDGET_EXAMPLE = (
    'Write it like name = "daily", limit = ["5 USD", "100000 tokens"], period = "day", each = ["client"].'
)
_BUDGET_KEYS = {field.name: field.type for field in fields(BudgetSource) if field.name != "place"}


class Loaded(msgspec.Struct, frozen=True):
    """Settings that hold, and what the operator should know about them: one sentence each, no secret in any."""

    settings: Settings
    warnings: tuple[str, ...]


class _Said(msgspec.Struct, frozen=True):
    """A value and where it was said. `text` values are still to be converted; paths are relative to `folder`."""

    where: str
    value: Any
    text: bool
    folder: Path


def load(
    environ: Mapping[str, str],
    toml_path: Path | None,
    arguments: Mapping[str, object],
    providers: Iterable[KeyNames],
    *,
    keys_needed: bool = True,
) -> Loaded:
    """Read the settings from everywhere they may stand.

    Args:
        environ: the process environment.
        toml_path: the file that the command line names; None takes `EXAI_CONFIG`, else `exai.toml` if it exists.
        arguments: of the command line, by field name; None means that it was not given.
        providers: whose keys and base URLs to look for.
        keys_needed: False passes over `[[wallet]]`, whose keys may be the service's alone.

    Raises:
        SettingsError: a value is wrong, unknown, contradicts another one, or cannot be read.
    """
    environ = {name: value for name, value in environ.items() if value.strip()}
    file = ConfigFile(_config_path(environ, toml_path))
    _check_keys(file)
    return _Sources(environ, file, arguments, tuple(providers)).loaded(keys_needed=keys_needed)


def _config_path(environ: Mapping[str, str], named: Path | None) -> Path | None:
    if named is None and CONFIG_VARIABLE in environ:
        named = Path(environ[CONFIG_VARIABLE])
    if named is not None:
        return expanded(named, environ)
    usual = Path("exai.toml")
    return usual if usual.exists() else None


def _check_keys(file: ConfigFile) -> None:
    secrets = {option.name for option in OPTIONS if option.secret}
    known = [option.name + "_file" if option.secret else option.name for option in OPTIONS]
    for key in file.values:
        if key in secrets:
            raise SettingsError(
                f"{file.place(key)}: {key} must not stand here in the open",
                remedy=f'Put it into a file of its own and write {key}_file = "PATH".',
            )
        if key not in (*known, "store", "wallet", "budget"):
            raise SettingsError(f"{file.place(key)}: unknown key {key!r}", remedy=nearest(key, known))


class _Sources:
    """Everything that settings are read from, and what the operator should know about what was read."""

    def __init__(
        self,
        environ: Mapping[str, str],
        file: ConfigFile,
        arguments: Mapping[str, object],
        providers: tuple[KeyNames, ...],
    ) -> None:
        self._environ = environ
        self._file = file
        self._arguments = arguments
        self._providers = providers
        self._warnings: list[str] = []
        self._open_files: list[str] = []

    def loaded(self, *, keys_needed: bool) -> Loaded:
        """Read every setting."""
        values: dict[str, Any] = {}
        for option in OPTIONS:
            if option.secret:
                values[option.name] = self._secret_option(option)
            elif (said := self._said(option)) is not None:
                values[option.name] = self._converted(option, said)
        values["data_dir"] = self._data_dir(values.get("data_dir"))
        values["wallets"] = self._wallets(self._file.tables("wallet") if keys_needed else [])
        budgets = enumerate(self._file.tables("budget"))
        values["has_file"] = self._file.path is not None
        values["budgets"] = tuple(self._budget(table, place) for place, table in budgets)
        self._warn_of_strangers()
        if not values.get("container"):  # its secrets are of a user outside, and its own must read them
            self._warnings += self._open_files
        return Loaded(Settings(**values), tuple(self._warnings))

    def _said(self, option: Option) -> _Said | None:
        """Find the value that takes precedence."""
        found = [name for name in option.variables if name in self._environ]
        self._pass_over(found, self._environ)
        if self._arguments.get(option.name) is not None:
            return _Said(option.flag, self._arguments[option.name], text=True, folder=Path())
        if found:
            return _Said(found[0], self._environ[found[0]], text=True, folder=Path())
        if option.name in self._file.values:
            where = f"{self._file.place(option.name)}: {option.name}"
            return _Said(where, self._file.values[option.name], text=False, folder=self._file.folder)
        return None

    def _pass_over(self, found: list[str], values: Mapping[str, object]) -> None:
        """Warn of names that say something else than the one that holds, the first."""
        self._warnings += [
            f"{name} is passed over: {found[0]} is set" for name in found[1:] if values[name] != values[found[0]]
        ]

    def _converted(self, option: Option, said: _Said) -> object:
        value = said.value
        if said.text and isinstance(value, str):
            value = value.strip()
            if option.name == "allowed_hosts":
                value = [part.strip() for part in value.split(",") if part.strip()]
            elif option.name.startswith("log_"):
                value = value.lower()
        try:
            taken: object = msgspec.convert(value, option.limits, strict=not said.text, dec_hook=_path)
        except msgspec.ValidationError as error:
            raise SettingsError(
                f"{said.where} is {shown(said.value)}: {_expected(option, error)}",
                remedy=f"{option.name}: {option.sentence}",
            ) from error
        return said.folder / expanded(taken, self._environ) if isinstance(taken, Path) else taken

    def _data_dir(self, given: Path | None) -> Path:
        """Choose the folder of the ledger; `store` is another way to say it."""
        environ, file = self._environ, self._file
        store: object = environ.get(STORE_VARIABLE, file.values.get("store"))
        where = STORE_VARIABLE if STORE_VARIABLE in environ else f"{file.place('store')}: store"
        if store is None:
            home = environ.get("XDG_DATA_HOME") or "~/.local/share"
            return given or expanded(Path(home), environ) / "exai"
        if given is not None:
            raise SettingsError(
                f"{where} and data_dir are both set", remedy="Keep one: they name the same folder."
            )
        path = store.removeprefix(_STORE_SCHEME) if isinstance(store, str) else ""
        if not path or path == store:
            raise SettingsError(
                f"{where} is {shown(store)}; only {_STORE_SCHEME}FOLDER is known",
                remedy="Write sqlite:////absolute/folder or sqlite:///relative/folder, or set EXAI_DATA_DIR.",
            )
        folder = Path() if STORE_VARIABLE in environ else file.folder
        return folder / expanded(Path(path), environ)

    def _secret_option(self, option: Option) -> Secret | None:
        if self._arguments.get(option.name) is not None:
            raise SettingsError(
                f"{option.flag} would show the secret to everybody on this machine",
                remedy=f"Set {option.variables[0]} or {option.variables[0]}{_FILE}.",
            )
        found, key = self._secret(option.variables), option.name + "_file"
        if found is None and key in self._file.values:
            return self._secret_file(f"{self._file.place(key)}: {key}", self._file.values[key], self._file.folder)
        return found

    def _secret(self, variables: tuple[str, ...]) -> Secret | None:
        """Take a secret from the first variable that has it, or from the file that its `_FILE` form names."""
        found: dict[str, Secret] = {}
        for name in variables:
            if name in self._environ and name + _FILE in self._environ:
                raise SettingsError(f"{name} and {name}{_FILE} are both set", remedy="Keep one of them.")
            if name in self._environ:
                found[name] = Secret(self._environ[name].strip())
            elif name + _FILE in self._environ:
                found[name] = self._secret_file(name + _FILE, self._environ[name + _FILE], Path())
        self._pass_over(list(found), found)
        return next(iter(found.values()), None)

    def _secret_file(self, where: str, named: object, folder: Path) -> Secret:
        if not isinstance(named, str) or not named:
            raise SettingsError(
                f"{where} is {shown(named)}: expected a path", remedy="Name the file of the secret."
            )
        path = folder / expanded(Path(named), self._environ)
        text = read_text(where, path).rstrip("\r\n")
        if not text:
            raise SettingsError(f"{where}: {path} is empty", remedy="Write the secret into it.")
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            self._open_files.append(f"{where}: others than its owner can read {path}; run chmod 600 {path}")
        return Secret(text)

    def _wallets(self, tables: Iterable[Mapping[str, Any]]) -> tuple[WalletSource, ...]:
        named = [self._wallet(table, place) for place, table in enumerate(tables)]
        keys = {(source.provider, source.key) for source in named}
        plain: list[WalletSource] = []
        for provider in self._providers:
            key = self._secret(provider.key_variables)
            base_url = self._environ.get(provider.base_url_variable)
            if key is None and base_url is not None:
                unset = f"{provider.key_variables[0]} is not set"
                self._warnings.append(f"{provider.base_url_variable} is passed over: {unset}")
            if key is not None and (provider.name, key) not in keys:
                plain.append(WalletSource(provider=provider.name, base_url=base_url, key=key))
        return (*plain, *named)

    def _wallet(self, table: Mapping[str, Any], place: int) -> WalletSource:
        """Read the nth `[[wallet]]`."""
        self._check_wallet(table, place)
        nth = f"wallet {place + 1} of {self._file.place('wallet')}"
        where = f"wallet {table['name']!r}" if "name" in table else nth
        names = [provider.name for provider in self._providers]
        if table.get("provider") not in names:
            raise SettingsError(
                f"{where} has the provider {table.get('provider')!r}", remedy=f"Known are: {', '.join(names)}."
            )
        if ("key_env" in table) == ("key_file" in table):
            raise SettingsError(f"{where} needs key_env or key_file, and not both", remedy="Say where its key is.")
        if "key_file" in table:
            key = self._secret_file(f"{where}: key_file", table["key_file"], self._file.folder)
        elif (found := self._secret((table["key_env"],))) is not None:
            key = found
        else:
            raise SettingsError(f"{where}: {table['key_env']} is not set", remedy="Set it, or remove the wallet.")
        said = {name: table.get(name) for name in ("name", "base_url", "plan")}
        return WalletSource(**said, provider=table["provider"], zone=table.get("zone", "UTC"), key=key)

    def _check_wallet(self, table: Mapping[str, Any], place: int) -> None:
        for name, value in table.items():
            where = self._file.place(name, place)
            if name not in _WALLET_KEYS:
                raise SettingsError(
                    f"{where}: unknown key {name!r} of a wallet", remedy=nearest(name, _WALLET_KEYS)
                )
            if not isinstance(value, str) or not value:
                raise SettingsError(
                    f"{where}: {name} is {shown(value)}: expected text", remedy="Put it in quotes."
                )

    def _budget(self, table: Mapping[str, Any], nth: int) -> BudgetSource:
        """Read the nth `[[budget]]`; what its words mean is judged where the wallets are known."""
        where = self._file.place("budget", nth, of="budget")
        values: dict[str, Any] = {}
        for key, value in table.items():
            at = self._file.place(key, nth, of="budget")
            if key not in _BUDGET_KEYS:
                raise SettingsError(f"{at}: unknown key {key!r} of a budget", remedy=nearest(key, _BUDGET_KEYS))
            try:
                said = [value] if key == "limit" and isinstance(value, str) else value
                values[key] = msgspec.convert(said, _BUDGET_KEYS[key])
            except msgspec.ValidationError as error:
                raise SettingsError(f"{at}: {key} is {shown(value)}", remedy=_BUDGET_EXAMPLE) from error
        for key in ("name", "limit", "period"):
            if key not in values:
                raise SettingsError(f"{where}: the budget has no {key}", remedy=_BUDGET_EXAMPLE)
        return BudgetSource(place=where, **values)

    def _warn_of_strangers(self) -> None:
        """Name the variables that look like ours and mean nothing here."""
        known = {CONFIG_VARIABLE, STORE_VARIABLE}
        for option in OPTIONS:
            known |= {*option.variables, *((name + _FILE for name in option.variables) if option.secret else ())}
        known |= {name for provider in self._providers for name in provider.key_variables}
        for name in sorted(self._environ):
            if name in INSTEAD:
                self._warnings.append(f"{name} has no meaning here: {INSTEAD[name]}")
            elif name.startswith(VARIABLE_PREFIX) and name not in known:
                self._warnings.append(f"{name} is no setting. {nearest(name, sorted(known))}")


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    raise ValueError(f"Expected a path, got {type(value).__name__}")


def _expected(option: Option, error: msgspec.ValidationError) -> str:
    """Say what the value must be, in words: who reads it need not know this program's types."""
    if get_origin(option.kind) is Literal:
        return f"expected {' or '.join(get_args(option.kind))}"
    rule = str(error).replace("`", "").replace(" | null", "").partition(", got ")[0]
    return re.sub(r"\b(int|float|bool|str|array)\b", lambda found: _KINDS[found[0]], rule[:1].lower() + rule[1:])
