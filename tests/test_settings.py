"""Settings: what contradicts itself, or would put a spending key within others' reach, cannot be."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.errors import SettingsError
from service.secret import Secret
from service.settings import OPTIONS, BudgetSource, KeyNames, Settings, WalletSource, markdown

REAL = "sk-real-0123456789"
SIMULATED = "sim-0123456789"
TOKEN = Secret("0123456789abcdef")


def settings(**given: Any) -> Settings:  # noqa: ANN401 - any field
    """Make settings in a data folder that nobody touches."""
    return Settings(data_dir=Path("/nowhere"), **given)


def wallet(key: str, name: str | None = None) -> WalletSource:
    """Make a wallet at kimi."""
    return WalletSource(provider="kimi", key=Secret(key), name=name)


def budget(place: str) -> BudgetSource:
    """Make a budget of a place."""
    return BudgetSource(place=place, name="daily", limit=("5 USD",), period="day")


def test_the_defaults_are_usable_and_want_simulators() -> None:
    """Without a word from the operator the service listens on loopback and spends nothing."""
    plain = settings()
    assert (True, True, 8079) == (plain.loopback, plain.simulators_wanted, plain.port)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"host": "0.0.0.0"}, "listens on loopback only"),  # noqa: S104 - what is refused
        ({"host": "192.168.1.7", "wallets": (wallet(REAL),)}, "others could spend"),
        ({"host": "::", "container": True, "wallets": (wallet(REAL),)}, "others could spend"),
        ({"wallets": (wallet(SIMULATED), wallet(REAL))}, "never mixed"),
        ({"host": "localhost.example.com"}, "listens on loopback only"),
        ({"simulate": True, "wallets": (wallet(REAL),)}, "never mixed"),
        ({"ws_token": Secret("fifteen-chars-x")}, "shorter than 16"),
        ({"ws_token": Secret("sixteen chars with spaces")}, "no header can carry"),
        ({"ws_token": Secret("sixteen-chars-wíth-accents")}, "no header can carry"),
        ({"console_port": 8079}, "port and console_port are both 8079"),
        ({"console_port": 9, "metrics_port": 9}, "console_port and metrics_port are both 9"),
        ({"public_url": "exai.example.com"}, "EXAI_PUBLIC_URL"),
        ({"public_url": "https://user:word@exai.example.com"}, "EXAI_PUBLIC_URL"),
        ({"public_url": "https://exai.example.com/?a"}, "EXAI_PUBLIC_URL"),
        ({"wallets": (wallet(REAL, "work"), wallet(SIMULATED, "work"))}, "two wallets have the name 'work'"),
        (
            {"budgets": (budget("line 1"), budget("line 5"))},
            "line 5: the budget of line 1 has the name 'daily', too",
        ),
    ],
)
def test_what_must_not_be_is_refused_with_a_remedy(given: dict[str, Any], said: str) -> None:
    """Each refusal says what is wrong and what to do, and shows no secret."""
    with pytest.raises(SettingsError) as caught:
        settings(**given)
    text = f"{caught.value} {caught.value.remedy}"
    assert said in text
    assert caught.value.remedy
    assert not any(secret in text for secret in (REAL, SIMULATED, "fifteen-chars", "sixteen", "word@"))


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0", "ws_token": TOKEN},  # noqa: S104 - what is allowed
        {"host": "0.0.0.0", "ws_token": TOKEN, "wallets": (wallet(REAL),)},  # noqa: S104 - what is allowed
        {"host": "::", "container": True},
        {"host": "::", "container": True, "wallets": (wallet(SIMULATED),)},
        {"host": "localhost", "wallets": (wallet(REAL),)},
        {"host": "127.8.8.8", "wallets": (wallet(REAL),)},
        {"host": "::1", "wallets": (wallet(REAL),)},
        {"simulate": True, "wallets": (wallet(SIMULATED),)},
        {"port": 0, "console_port": 0},
        {"public_url": "https://exai.example.com/below/"},
    ],
)
def test_what_harms_nobody_is_taken(given: dict[str, Any]) -> None:
    """A token, loopback, or simulators in a container: each is enough."""
    assert next(iter(given.values())) == getattr(settings(**given), next(iter(given)))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:5"),
        ({"host": "::1"}, "http://[::1]:5"),
        ({"host": "0.0.0.0", "ws_token": TOKEN}, "http://127.0.0.1:5"),  # noqa: S104 - shown as loopback
        ({"public_url": "https://exai.example.com/below/"}, "https://exai.example.com/below"),
    ],
)
def test_links_begin_where_people_reach_the_service(given: dict[str, Any], url: str) -> None:
    """The root has the bound port, unless the operator named another root."""
    assert url == settings(**given).url(5)


def test_a_real_key_alone_wants_no_simulator() -> None:
    """With a wallet the service asks the provider."""
    assert not settings(wallets=(wallet(REAL),)).simulators_wanted


def test_no_repr_shows_a_secret() -> None:
    """Neither the token nor a key is in the text that a log would show."""
    shown = repr(settings(ws_token=TOKEN, wallets=(wallet(REAL),)))
    assert TOKEN.reveal() not in shown
    assert REAL not in shown


def test_the_table_names_every_field_and_every_key() -> None:
    """Each field, its variables and each provider's variables stand in the README's table."""
    provider = SimpleNamespace(
        name="kimi", key_variables=("KIMI_API_KEY", "MOON"), base_url_variable="KIMI_BASE_URL"
    )
    table = markdown([cast("KeyNames", provider)])
    assert Settings.__struct_fields__ == (*(option.name for option in OPTIONS), "wallets", "budgets", "has_file")
    names = ("EXAI_HOST", "EXAI_WS_HOST", "EXAI_WS_TOKEN_FILE", "MOON", "KIMI_API_KEY_FILE", "KIMI_BASE_URL")
    assert [] == [name for name in names if f"`{name}`" not in table]
    assert [] == [option.name for option in OPTIONS if not option.sentence.endswith(".")]
    assert table.splitlines()[3].startswith("| `port` | `EXAI_PORT`, `EXAI_WS_PORT` | `8079` |")


def test_an_option_knows_its_plain_type() -> None:
    """A command line can tell switches from what takes a value."""
    kinds = {option.name: option.kind for option in OPTIONS}
    switches = {name for name, kind in kinds.items() if kind is bool}
    assert {"simulate", "container", "readings", "verify_signatures"} == switches
    assert (int, float) == (kinds["port"], kinds["grace_s"])
