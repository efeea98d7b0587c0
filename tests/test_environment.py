"""Where settings come from: each source, their order, and a place and a remedy for whatever is wrong."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from service.environment import Loaded, load
from service.errors import SettingsError
from service.secret import Secret
from service.settings import OPTIONS, BudgetSource, KeyNames, Option, WalletSource

KIMI = cast(
    "KeyNames",
    SimpleNamespace(
        name="kimi", key_variables=("KIMI_API_KEY", "MOONSHOT_API_KEY"), base_url_variable="KIMI_BASE_URL"
    ),
)
GLM = cast(
    "KeyNames",
    SimpleNamespace(name="glm", key_variables=("GLM_API_KEY", "ZAI_API_KEY"), base_url_variable="GLM_BASE_URL"),
)
KEY = "sk-0123456789"
TOKEN = "a-token-of-enough-chars"

Loading = Callable[..., Loaded]


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    """Load in an empty folder that is home as well; `toml` becomes its `exai.toml`."""
    monkeypatch.chdir(tmp_path)

    def run(
        environ: Mapping[str, str] | None = None,
        toml: str | None = None,
        arguments: Mapping[str, object] | None = None,
        path: Path | None = None,
    ) -> Loaded:
        if toml is not None:
            (path or tmp_path / "exai.toml").write_text(toml)
        return load({"HOME": str(tmp_path), **(environ or {})}, path, arguments or {}, (KIMI, GLM))

    return run


def secret_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    """Write a secret's file."""
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_nothing_said_gives_the_defaults(loading: Loading, tmp_path: Path) -> None:
    """An empty environment is complete, warns of nothing, and keeps its ledger under the home folder."""
    loaded = loading()
    assert () == loaded.warnings
    assert tmp_path / ".local/share/exai" == loaded.settings.data_dir


@pytest.mark.parametrize(
    ("environ", "toml", "arguments", "port"),
    [
        ({}, None, {}, 8079),
        ({}, "port = 1", {}, 1),
        ({"EXAI_PORT": "2"}, "port = 1", {}, 2),
        ({"EXAI_WS_PORT": "2"}, "port = 1", {}, 2),
        ({"EXAI_PORT": "2"}, "port = 1", {"port": 3}, 3),
        ({"EXAI_PORT": "2"}, "port = 1", {"port": "3"}, 3),
        ({"EXAI_PORT": "2"}, "port = 1", {"port": None}, 2),
        ({"EXAI_PORT": ""}, "port = 1", {}, 1),
        ({"EXAI_PORT": " 2 "}, None, {}, 2),
    ],
)
def test_the_command_line_precedes_the_environment_precedes_the_file(
    loading: Loading,
    environ: dict[str, str],
    toml: str | None,
    arguments: dict[str, object],
    port: int,
) -> None:
    """The nearest word holds; an empty variable is no word."""
    assert port == loading(environ, toml, arguments).settings.port


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("EXAI_SIMULATE", "1", "simulate", True),
        ("EXAI_SIMULATE", "false", "simulate", False),
        ("EXAI_CONTAINER", "true", "container", True),
        ("EXAI_IDLE_TIMEOUT_S", "2.5", "idle_timeout_s", 2.5),
        ("EXAI_ALLOWED_HOSTS", "a.example, b.example,", "allowed_hosts", ("a.example", "b.example")),
        ("EXAI_LOG_LEVEL", "WARNING", "log_level", "warning"),
        ("EXAI_PRICES", "/p.toml", "prices", Path("/p.toml")),
        ("EXAI_DATA_DIR", "/d", "data_dir", Path("/d")),
        ("EXAI_STORE", "sqlite:////d", "data_dir", Path("/d")),
        ("EXAI_STORE", "sqlite:///d", "data_dir", Path("d")),
        ("XDG_DATA_HOME", "/x", "data_dir", Path("/x/exai")),
        ("EXAI_WS_TOKEN", TOKEN, "ws_token", Secret(TOKEN)),
    ],
)
def test_text_becomes_the_fields_type(
    loading: Loading, variable: str, text: str, field: str, value: object
) -> None:
    """A variable's text is converted; a comma separates a list's members."""
    assert value == getattr(loading({variable: text}).settings, field)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_field_can_be_set_from_everywhere(loading: Loading, option: Option) -> None:
    """No row of the table is for show: each variable is read, and the file's key is."""
    for name in option.variables:
        assert () == loading({name: sample(option.name)}).warnings
    key = f"{option.name}_file" if option.secret else option.name
    with pytest.raises(SettingsError, match=rf"exai.toml line 1: {key} is \[\[\]\]"):
        loading(toml=f"{key} = [[]]")


def sample(name: str) -> str:
    """Give a text that the field takes."""
    words = {
        "host": "localhost",
        "ws_token": TOKEN,
        "public_url": "http://a",
        "log_level": "info",
        "log_format": "json",
        "attempts_max": "3",
    }
    switches = {"simulate", "container", "readings", "verify_signatures"}
    return words.get(name, "true" if name in switches else "2000")


def test_paths_in_the_file_are_relative_to_it(loading: Loading, tmp_path: Path) -> None:
    """The file can be moved with what it names; `~` is the home folder."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc/other.toml"
    loaded = loading(toml='data_dir = "kept"\nprices = "~/p.toml"', path=path)
    assert tmp_path / "etc/kept" == loaded.settings.data_dir
    assert tmp_path / "p.toml" == loaded.settings.prices
    assert tmp_path / "etc/kept" == loading({"EXAI_CONFIG": str(path)}).settings.data_dir


@pytest.mark.parametrize(
    ("environ", "toml", "said"),
    [
        ({"EXAI_PORT": "http"}, None, "EXAI_PORT is 'http': expected a whole number"),
        ({"EXAI_PORT": "65536"}, None, "EXAI_PORT is '65536': expected a whole number <= 65535"),
        ({"EXAI_GRACE_S": "nan"}, None, "EXAI_GRACE_S is 'nan': expected a number > 0.0"),
        ({"EXAI_GRACE_S": "0"}, None, "EXAI_GRACE_S is '0': expected a number > 0.0"),
        ({"EXAI_SIMULATE": "perhaps"}, None, "EXAI_SIMULATE is 'perhaps': expected true or false"),
        ({"EXAI_LOG_FORMAT": "xml"}, None, "EXAI_LOG_FORMAT is 'xml': expected text or json"),
        ({"EXAI_STORE": "postgres://u:word@h/d"}, None, "EXAI_STORE is 'postgres://…@h/d'; only sqlite:///FOLDER"),
        ({"EXAI_STORE": "sqlite:///"}, None, "only sqlite:///FOLDER"),
        ({"EXAI_STORE": "sqlite:////d", "EXAI_DATA_DIR": "/d"}, None, "EXAI_STORE and data_dir are both set"),
        ({"EXAI_CONFIG": "absent.toml"}, None, "absent.toml cannot be read"),
        ({}, '# one\n\nport = "8079"', "exai.toml line 3: port is '8079': expected a whole number"),
        ({}, "simulate = 1", "exai.toml line 1: simulate is 1: expected true or false"),
        ({}, "prices = 5", "exai.toml line 1: prices is 5: expected a path"),
        ({}, 'host = "localhost"\nprot = 1', "exai.toml line 2: unknown key 'prot' Did you mean port?"),
        ({}, "[server]\nport = 1", "exai.toml line 1: unknown key 'server'"),
        ({}, f'ws_token = "{TOKEN}"', "exai.toml line 1: ws_token must not stand here in the open"),
        ({}, "port = ", "is no TOML"),
        ({}, 'store = "redis://h"', "exai.toml line 1: store is 'redis://h'"),
        ({}, "wallet = 1", "exai.toml line 1: wallet is no table"),
        (
            {"A": KEY},
            '[[wallet]]\nprovider = "kimi"\nkey_env = "A"\n[[wallet]]\nplans = "x"',
            "exai.toml line 5: unknown key 'plans' of a wallet Did you mean plan?",
        ),
        ({}, "[[wallet]]\nprovider = 1", "exai.toml line 2: provider is 1: expected text"),
        ({}, '[[wallet]]\nprovider = "openai"', "has the provider 'openai' Known are: kimi, glm."),
        ({}, '[[wallet]]\nprovider = "kimi"', "needs key_env or key_file"),
        ({}, '[[wallet]]\nprovider = "kimi"\nkey_env = "A"\nkey_file = "B"', "needs key_env or key_file"),
        ({}, '[[wallet]]\nname = "w"\nprovider = "kimi"\nkey_env = "A"', "wallet 'w': A is not set"),
        ({}, '[[wallet]]\nname = "w"\nprovider = "kimi"\nkey_file = "B"', "wallet 'w': key_file: "),
        ({}, "budget = 1", "exai.toml line 1: budget is no table Begin each with [[budget]]."),
        (
            {},
            '[[budget]]\nname = "a"\nlimits = []',
            "exai.toml line 3: unknown key 'limits' of a budget Did you mean",
        ),
        (
            {},
            '[[budget]]\nname = "a"\nlimit = "1 USD"\nperiod = "day"\n[[budget]]\nlimit = 5',
            "exai.toml line 6: limit is 5 Write it like",
        ),
        ({}, '[[budget]]\neach = "tool"', "exai.toml line 2: each is 'tool' Write it like"),
        ({}, "[[budget]]\nallow_unknown_price = 1", "exai.toml line 2: allow_unknown_price is 1 Write"),
        ({}, '[[budget]]\nname = "a"\n\n[[budget]]', "exai.toml line 1: the budget has no limit Write it like"),
        ({}, "[[wallet]]\nzone = 8", "exai.toml line 2: zone is 8: expected text"),
        (
            {"EXAI_WS_TOKEN": TOKEN, "EXAI_WS_TOKEN_FILE": "f"},
            None,
            "EXAI_WS_TOKEN and EXAI_WS_TOKEN_FILE are both",
        ),
        ({"KIMI_API_KEY": KEY, "KIMI_API_KEY_FILE": "f"}, None, "KIMI_API_KEY and KIMI_API_KEY_FILE are both"),
        ({"KIMI_API_KEY_FILE": "absent"}, None, "KIMI_API_KEY_FILE: absent cannot be read"),
        ({"EXAI_HOST": "::", "KIMI_API_KEY": KEY}, None, "others could spend"),
        ({"EXAI_SIMULATE": "1", "ZAI_API_KEY": KEY}, None, "never mixed"),
    ],
)
def test_what_is_wrong_is_refused_by_place_and_remedy(
    loading: Loading, environ: dict[str, str], toml: str | None, said: str
) -> None:
    """The error names source, value and what is expected; it holds no secret."""
    with pytest.raises(SettingsError) as caught:
        loading(environ, toml)
    text = f"{caught.value} {caught.value.remedy}"
    assert said in text
    assert caught.value.remedy
    assert not any(secret in text for secret in (KEY, TOKEN, "word"))


def test_a_secret_never_comes_by_the_command_line(loading: Loading) -> None:
    """Everybody on the machine can read a command line."""
    with pytest.raises(SettingsError, match="--ws-token would show the secret"):
        loading(arguments={"ws_token": TOKEN})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_may_stand_in_a_file(loading: Loading, tmp_path: Path, ending: str) -> None:
    """The line's end is not part of it; a file of its owner alone warns of nothing."""
    path = secret_file(tmp_path, TOKEN + ending)
    for loaded in (loading({"EXAI_WS_TOKEN_FILE": str(path)}), loading(toml='ws_token_file = "secret"')):
        assert (Secret(TOKEN), ()) == (loaded.settings.ws_token, loaded.warnings)


def test_a_secret_file_that_others_can_read_warns(loading: Loading, tmp_path: Path) -> None:
    """It is taken, and the warning holds the command that closes it; a container's one user must read it."""
    path = secret_file(tmp_path, KEY, mode=0o644)
    loaded = loading({"KIMI_API_KEY_FILE": str(path)})
    assert Secret(KEY) == loaded.settings.wallets[0].key
    (warning,) = loaded.warnings
    assert f"chmod 600 {path}" in warning
    inside = loading({"KIMI_API_KEY_FILE": str(path), "EXAI_CONTAINER": "1"})
    assert (Secret(KEY), ()) == (inside.settings.wallets[0].key, inside.warnings)


@pytest.mark.parametrize("content", [b"\n", b"\xff\xfe", b"x" * (2**20 + 1)])
def test_a_secret_file_must_hold_one_text(loading: Loading, tmp_path: Path, content: bytes) -> None:
    """An empty file, one of other bytes and one without end are refused."""
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SettingsError, match=r"KIMI_API_KEY_FILE: .*secret is"):
        loading({"KIMI_API_KEY_FILE": str(tmp_path / "secret")})


def test_wallets_come_from_the_environment_and_the_file(loading: Loading, tmp_path: Path) -> None:
    """A key that the file names is one wallet, not two; each has its own base URL."""
    secret_file(tmp_path, "sk-second\n")
    toml = """
    [[wallet]]
    name = "work"
    zone = "Asia/Shanghai"
    provider = "kimi"
    base_url = "https://api.moonshot.cn/v1"
    key_file = "secret"
    [[wallet]]
    name = "home"
    provider = "glm"
    plan = "coding"
    key_env = "ZAI_API_KEY"
    """
    environ = {"MOONSHOT_API_KEY": KEY, "KIMI_BASE_URL": "https://k.example/v1", "ZAI_API_KEY": "sk-glm"}
    wallets = loading(environ, toml).settings.wallets
    assert (
        WalletSource(provider="kimi", key=Secret(KEY), base_url="https://k.example/v1"),
        WalletSource(
            provider="kimi",
            key=Secret("sk-second"),
            name="work",
            base_url="https://api.moonshot.cn/v1",
            zone="Asia/Shanghai",
        ),
        WalletSource(provider="glm", key=Secret("sk-glm"), name="home", plan="coding"),
    ) == wallets


def test_budgets_come_from_the_file(loading: Loading) -> None:
    """One limit needs no list; each budget knows the line that it stands on, beside wallets or before."""
    toml = """
    [[budget]]
    name = "daily"
    limit = "5 USD"
    period = "day"

    [[wallet]]
    provider = "glm"
    key_env = "A"

    [[budget]]
    name = "tokens"
    limit = ["100000 tokens", "30 CNY"]
    period = "month"
    zone = "Asia/Shanghai"
    each = ["client"]
    wallet = "home"
    allow_unknown_price = true
    """
    assert (
        BudgetSource(place="exai.toml line 2", name="daily", limit=("5 USD",), period="day"),
        BudgetSource(
            place="exai.toml line 11",
            name="tokens",
            limit=("100000 tokens", "30 CNY"),
            period="month",
            zone="Asia/Shanghai",
            each=("client",),
            wallet="home",
            allow_unknown_price=True,
        ),
    ) == loading({"A": KEY}, toml).settings.budgets


@pytest.mark.parametrize(
    ("environ", "warning"),
    [
        ({"EXAI_PROT": "1"}, "EXAI_PROT is no setting. Did you mean EXAI_PORT?"),
        ({"EXAI_QWXZ": "1"}, "EXAI_QWXZ is no setting. The README's table lists what there is."),
        ({"EXAI_WS_MAX_BYTES": "1"}, "EXAI_WS_MAX_BYTES has no meaning here: use EXAI_FRAME_BYTES_MAX"),
        ({"EXAI_JWT_TOKEN": "a.b.c"}, "EXAI_JWT_TOKEN has no meaning here: use EXAI_WS_TOKEN"),
        ({"GLM_THINKING_MODEL": "m"}, "GLM_THINKING_MODEL has no meaning here: name the model in the call"),
        ({"EXAI_HOST": "localhost", "EXAI_WS_HOST": "127.0.0.1"}, "EXAI_WS_HOST is passed over: EXAI_HOST is set"),
        ({"GLM_API_KEY": "a", "ZAI_API_KEY": "b"}, "ZAI_API_KEY is passed over: GLM_API_KEY is set"),
        ({"GLM_BASE_URL": "https://h"}, "GLM_BASE_URL is passed over: GLM_API_KEY is not set"),
    ],
)
def test_what_means_nothing_here_warns(loading: Loading, environ: dict[str, str], warning: str) -> None:
    """The service starts, and says what was not heard and what to use."""
    (said,) = loading(environ).warnings
    assert said.startswith(warning)


@pytest.mark.parametrize(
    "environ", [{"EXAI_PROT": ""}, {"GLM_API_KEY": "a", "ZAI_API_KEY": "a"}, {"PATH": "/bin"}]
)
def test_what_does_no_harm_does_not_warn(loading: Loading, environ: dict[str, str]) -> None:
    """Empty variables, the same key twice, and other programs' variables are no matter."""
    assert () == loading(environ).warnings
