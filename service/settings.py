"""The settings: one frozen struct, whose fields are also the table that the README shows.

A value that breaks a rule cannot be put into it. Where values come from is the question of `environment.py`.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args, get_type_hints

import msgspec
from msgspec import Meta

from service.errors import SettingsError
from service.loopback import is_loopback
from service.secret import SIMULATOR_KEY, Secret

LOOPBACK = "127.0.0.1"
TOKEN_CHARS_MIN = 16
VARIABLE_PREFIX = "EXAI_"
_WILDCARDS = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104 - named here to be told apart, not bound
_NO_OPTIONS = frozenset(("wallets", "budgets", "has_file"))
_DAY_S = 86_400
_GIB = 2**30

Port = Annotated[int, Meta(ge=0, le=65_535)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Bytes = Annotated[int, Meta(ge=1024, le=_GIB)]
Seconds = Annotated[float, Meta(gt=0, le=_DAY_S)]
Text = Annotated[str, Meta(min_length=1, max_length=2048)]


class KeyNames(Protocol):
    """A provider, as far as its settings go; each provider's plug is one."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Environment variables that may hold its key, in order."""

    @property
    def base_url_variable(self) -> str:
        """Environment variable of its base URL."""


class WalletSource(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator said of one wallet.

    Attributes:
        name: None if it has none of its own.
        base_url: None if the provider's own one holds.
        zone: IANA name; whose days and months its budgets mean.
        plan: the plan that pays, `none` for no plan; None if the base URL tells.
    """

    provider: str
    key: Secret
    name: str | None = None
    base_url: str | None = None
    zone: str = "UTC"
    plan: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether the key belongs to a simulator and can spend nothing."""
        return self.key.reveal().startswith(SIMULATOR_KEY)


class BudgetSource(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator said of one budget, in words that are not judged yet.

    Attributes:
        place: file and line, for errors.
        limit: such as `5 USD`, `100000 tokens`.
        zone: None if it was not said.
    """

    place: str
    name: str
    limit: tuple[str, ...]
    period: str
    zone: str | None = None
    client: str | None = None
    provider: str | None = None
    wallet: str | None = None
    model: str | None = None
    tool: str | None = None
    each: tuple[str, ...] = ()
    allow_unknown_price: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator decides. Every description below stands in the README's table.

    Raises:
        SettingsError: two values contradict each other, or one would put a spending key within others' reach.
    """

    host: Annotated[
        Text,
        Meta(
            description="Address to listen on. Beyond loopback it needs `EXAI_WS_TOKEN`.",
            extra={"read_too": ("EXAI_WS_HOST",)},
        ),
    ] = LOOPBACK
    port: Annotated[
        Port,
        Meta(
            description="Port of everything; 0 takes a free one.",
            extra={"read_too": ("EXAI_WS_PORT",)},
        ),
    ] = 8079
    console_port: Annotated[Port | None, Meta(description="Moves the console to a port of its own.")] = None
    health_port: Annotated[Port | None, Meta(description="Moves `/health` to a port of its own.")] = None
    metrics_port: Annotated[Port | None, Meta(description="Moves `/metrics` to a port of its own.")] = None
    ws_token: Annotated[
        Secret | None,
        Meta(description=f"Token that clients must show; at least {TOKEN_CHARS_MIN} characters."),
    ] = None
    data_dir: Annotated[
        Path,
        Meta(
            description="Folder that holds the ledger.",
            extra={"default": "`exai` in `XDG_DATA_HOME`, else `~/.local/share/exai`"},
        ),
    ]
    checkpoints_dir: Annotated[
        Path | None,
        Meta(
            description="Folder that keeps the newest signed checkpoint, apart from the ledger.",
            extra={"default": "`data_dir` with `-checkpoints` behind its name"},
        ),
    ] = None
    witness_file: Annotated[
        Path | None, Meta(description="File that every signed checkpoint is appended to, on another disk say.")
    ] = None
    prices: Annotated[
        Path | None, Meta(description="Price table (TOML) whose rows are added to ours or replace them.")
    ] = None
    public_url: Annotated[
        Text | None,
        Meta(
            description="Where people reach the service; links in receipts begin with it.",
            extra={"default": "`http://host:port`"},
        ),
    ] = None
    allowed_hosts: Annotated[
        tuple[Text, ...],
        Meta(description="Names, beside loopback ones, that requests may be addressed to."),
    ] = ()
    simulate: Annotated[
        bool, Meta(description="Starts simulators instead of asking providers; so does the lack of any key.")
    ] = False
    container: Annotated[
        bool,
        Meta(description="Says that the service runs in a container; the image sets it."),
    ] = False
    connect_timeout_s: Annotated[Seconds, Meta(description="Limit to reach a provider, TLS included.")] = 10.0
    first_byte_timeout_s: Annotated[Seconds, Meta(description="Limit from the request to the answer's head.")] = (
        300.0
    )
    idle_timeout_s: Annotated[Seconds, Meta(description="Limit between two pieces of an answer.")] = 120.0
    total_timeout_s: Annotated[Seconds, Meta(description="Limit for one attempt, start to end.")] = 900.0
    attempts_max: Annotated[
        Annotated[int, Meta(ge=1, le=10)], Meta(description="Attempts for one completion, the first included.")
    ] = 3
    max_output_tokens: Annotated[
        Count, Meta(description="Sent as the limit of output when a client names none.")
    ] = 4096
    body_bytes_max: Annotated[Bytes, Meta(description="Longest answer read from a provider.")] = 16 * 2**20
    frame_bytes_max: Annotated[Bytes, Meta(description="Longest message taken from a client.")] = 10 * 2**20
    calls_in_flight_max: Annotated[Count, Meta(description="Most tool calls at one time, all clients.")] = 64
    client_calls_in_flight_max: Annotated[Count, Meta(description="Most tool calls at one time, one client.")] = 16
    session_calls_in_flight_max: Annotated[
        Count, Meta(description="Most tool calls at one time, one session.")
    ] = 8
    connections_max: Annotated[Count, Meta(description="Most open connections.")] = 1000
    grace_s: Annotated[Seconds, Meta(description="How long a stop waits for calls in flight.")] = 30.0
    readings: Annotated[
        bool, Meta(description="Reads the providers' own balances and counters, which costs nothing.")
    ] = True
    reading_interval_s: Annotated[Seconds, Meta(description="Time between readings while calls are made.")] = 300.0
    reading_idle_s: Annotated[Seconds, Meta(description="Time between readings while none are made.")] = 3600.0
    settling_s: Annotated[
        Seconds | None,
        Meta(
            description="How long a call may take to show in a provider's books.",
            extra={"default": "what the provider usually takes"},
        ),
    ] = None
    verify_signatures: Annotated[
        bool, Meta(description="Asks Kimi whether the signatures of its answers are its own.")
    ] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="Least severe event that is logged.")
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="Shape of a log line.")] = "text"
    wallets: tuple[WalletSource, ...] = ()
    budgets: tuple[BudgetSource, ...] = ()
    has_file: bool = False  # whether there is an exai.toml that could state budgets

    def __post_init__(self) -> None:
        """Refuse what must not be."""
        _check_token(self.ws_token)
        _check_public_url(self.public_url)
        _check_ports(self)
        _check_wallets(self)
        _check_budgets(self)
        _check_reach(self)

    @property
    def simulators_wanted(self) -> bool:
        """Whether the service must start simulators: asked for, or nobody gave a key."""
        return self.simulate or not self.wallets

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are kept."""
        return self.checkpoints_dir or self.data_dir.with_name(f"{self.data_dir.name}-checkpoints")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)

    def url(self, port: int) -> str:
        """Write the root under which people reach the service, without a slash at the end.

        Args:
            port: the one that is bound.
        """
        if self.public_url is not None:
            return self.public_url.rstrip("/")
        host = LOOPBACK if self.host in _WILDCARDS else self.host
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table: a field, and the names that it goes by.

    Attributes:
        name: of the field and in `exai.toml`.
        variables: in the environment, in order.
        flag: on the command line.
        kind: the field's type.
        limits: the same with the limits of its values, as msgspec takes it.
        secret: never shown, and never taken from `exai.toml` or the command line.
        default: as the README shows it.
    """

    name: str
    variables: tuple[str, ...]
    flag: str
    kind: Any
    limits: Any
    secret: bool
    default: str
    sentence: str


def _option(name: str, hint: Any, default: object) -> Option:  # noqa: ANN401 - a type, annotated or not
    meta = [part for part in get_args(hint)[1:] if isinstance(part, Meta)][-1]
    extra: Mapping[str, Any] = meta.extra or {}
    return Option(
        name=name,
        variables=(VARIABLE_PREFIX + name.upper(), *extra.get("read_too", ())),
        flag="--" + name.replace("_", "-"),
        kind=get_args(hint)[0],
        limits=hint,
        secret=Secret in get_args(get_args(hint)[0]),
        default=extra.get("default") or _written(default),
        sentence=meta.description or "",
    )


def _written(default: object) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _options() -> tuple[Option, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    fields = [field for field in msgspec.structs.fields(Settings) if field.name not in _NO_OPTIONS]
    return tuple(_option(field.name, hints[field.name], field.default) for field in fields)


OPTIONS = _options()


def markdown(providers: Iterable[KeyNames]) -> str:
    """Write the README's table of settings, one row a line, without a newline at the end."""
    rows = ["| Setting | Environment | Default | Meaning |", "|---|---|---|---|"]
    for option in OPTIONS:
        variables = [f"`{name}`" for name in option.variables]
        if option.secret:
            variables.append(f"`{option.variables[0]}_FILE`")
        name = f"`{option.name}_file`" if option.secret else f"`{option.name}`"
        rows.append(f"| {name} | {', '.join(variables)} | {option.default} | {option.sentence} |")
    rows.append("| `store` | `EXAI_STORE` | none | `sqlite:///FOLDER`: another way to say `data_dir`. |")
    for provider in providers:
        keys = ", ".join(f"`{name}`" for name in (*provider.key_variables, f"{provider.key_variables[0]}_FILE"))
        rows.append(f"| `[[wallet]]` | {keys} | none | Key of a wallet at {provider.name}. |")
        rows.append(
            f"| `[[wallet]]` | `{provider.base_url_variable}` | the provider's own | Base URL of that wallet. |"
        )
    rows.append("| | `EXAI_CONFIG` | `exai.toml`, if there is one | File that these settings may stand in. |")
    return "\n".join(rows)


def _check_token(token: Secret | None) -> None:
    if token is None:
        return
    text = token.reveal()
    if len(text) < TOKEN_CHARS_MIN or not text.isascii() or not text.isprintable() or " " in text:
        raise SettingsError(
            f"EXAI_WS_TOKEN is shorter than {TOKEN_CHARS_MIN} characters, or has one that no header can carry",
            remedy="Make one: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def _check_public_url(url: str | None) -> None:
    if url is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
        raise SettingsError(
            "EXAI_PUBLIC_URL is no plain http or https address",
            remedy="Write it like https://exai.example.com, without user, query or fragment.",
        )


def _check_ports(settings: Settings) -> None:
    taken: dict[int, str] = {}
    for name in ("port", "console_port", "health_port", "metrics_port"):
        port: int | None = getattr(settings, name)
        if not port:
            continue
        if port in taken:
            raise SettingsError(
                f"{taken[port]} and {name} are both {port}",
                remedy=f"Leave {name} out to stay on the port of everything, or give it another number.",
            )
        taken[port] = name


def _check_wallets(settings: Settings) -> None:
    names = [source.name for source in settings.wallets if source.name is not None]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SettingsError(
            f"two wallets have the name {min(twice)!r}", remedy="Give each [[wallet]] a name of its own."
        )
    real = [source for source in settings.wallets if not source.simulated]
    played = [source for source in settings.wallets if source.simulated]
    if real and played:
        raise SettingsError(
            f"{real[0].provider} has a real key, and {played[0].provider} a simulator's; the two are never mixed",
            remedy=f"Take one of the two keys away; a simulator's begins with {SIMULATOR_KEY}",
        )
    if settings.simulate and real:
        raise SettingsError(
            f"simulate is on, and a real key of {real[0].provider} is set; the two are never mixed",
            remedy="Take EXAI_SIMULATE (or --simulate) away, or the key.",
        )


def _check_budgets(settings: Settings) -> None:
    placed: dict[str, str] = {}
    for source in settings.budgets:
        if source.name in placed:
            raise SettingsError(
                f"{source.place}: the budget of {placed[source.name]} has the name {source.name!r}, too",
                remedy="Give each [[budget]] a name of its own.",
            )
        placed[source.name] = source.place


def _check_reach(settings: Settings) -> None:
    if settings.loopback or settings.ws_token is not None:
        return
    if any(not source.simulated for source in settings.wallets):
        raise SettingsError(
            f"host is {settings.host!r}: without EXAI_WS_TOKEN, others could spend with your key",
            remedy=f"Set EXAI_WS_TOKEN ({TOKEN_CHARS_MIN} characters or more), or EXAI_HOST={LOOPBACK}.",
        )
    if not settings.container:
        raise SettingsError(
            f"host is {settings.host!r}: without EXAI_WS_TOKEN the service listens on loopback only",
            remedy=f"Set EXAI_WS_TOKEN, or EXAI_HOST={LOOPBACK}; for simulators in a container, EXAI_CONTAINER=1.",
        )
