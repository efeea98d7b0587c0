"""`exai doctor`: what it says of simulated wallets, and by which status; nothing is written."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli._main import main
from service.cli.doctor import status_of
from service.core.wallet import fingerprint
from service.proving.doctor import Finding, Severity
from tests.processes import Judge, simulators


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Run the simulators, in another process."""
    with simulators(tmp_path_factory.mktemp("simulators")) as running:
        yield running


@pytest.mark.parametrize(
    ("severities", "status"),
    [
        ((), 0),
        ((Severity.NOTE,), 0),
        ((Severity.NOTE, Severity.WARNING), 3),
        ((Severity.WARNING, Severity.MEND), 1),
    ],
)
def test_the_status_sums_up(severities: tuple[Severity, ...], status: int) -> None:
    """The worst finding decides."""
    assert status == status_of([Finding(severity=severity, what="x") for severity in severities])


def test_wallets_in_order(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIMULATED in large letters, each counter, no finding, no byte of a key, and nothing on disk."""
    for name, text in {
        **judge.base_urls,
        "KIMI_API_KEY": "sim-canary-key",
        "GLM_API_KEY": "sim-canary-key",
    }.items():
        monkeypatch.setenv(name, text)
    assert 0 == main(["doctor", "--data-dir", str(tmp_path / "data")])
    said = capsys.readouterr().out
    assert "S I M U L A T E D" in said
    assert "counter balance: read (HTTP 200): available 50 USD" in said
    assert "default model kimi-k2.6: priced" in said
    assert "Nothing is wrong." in said
    assert "canary" not in said
    assert not (tmp_path / "data").exists()


def test_a_revoked_key(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON: the finding, its remedy, and the status that the command exits with."""
    monkeypatch.setenv("KIMI_BASE_URL", judge.base_urls["KIMI_BASE_URL"])
    monkeypatch.setenv("KIMI_API_KEY", "sim-revoked-1")
    assert 1 == main(["doctor", "--format", "json", "--data-dir", str(tmp_path)])
    told = json.loads(capsys.readouterr().out)
    (wallet,) = told["wallets"]
    assert (1, True, "refused") == (told["status"], told["simulated"], wallet["key"])
    assert "KIMI_API_KEY" in wallet["findings"][0]["remedy"]


def test_keys_of_one_account(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no wallet shows alone is found of all: two keys whose money is the same to the last digit."""
    url = judge.base_urls["GLM_BASE_URL"]
    rows = (
        f'[[wallet]]\nprovider = "glm"\nname = "{name}"\nbase_url = "{url}"\nkey_env = "{name.upper()}"\n'
        for name in ("one", "two")
    )
    (tmp_path / "exai.toml").write_text("\n".join(rows))
    monkeypatch.setenv("ONE", "sim-one")
    monkeypatch.setenv("TWO", "sim-two")
    words = ["doctor", "--config", str(tmp_path / "exai.toml"), "--data-dir", str(tmp_path / "data")]
    assert 0 == main(words)  # whole cents, as a new account has
    capsys.readouterr()
    for key in ("sim-one", "sim-two"):
        asyncio.run(judge.move(f"glm-{fingerprint(key)}", "topup", "0.00123"))
    assert 3 == main(words)
    said = capsys.readouterr().out
    assert "\nWARNING: one and two state the same money to the last digit" in said
    assert said.endswith("There are warnings.\n")


def test_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning that names the variables."""
    for name in ("KIMI_API_KEY", "MOONSHOT_API_KEY", "GLM_API_KEY", "ZAI_API_KEY", "ZHIPUAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert 3 == main(["doctor", "--data-dir", str(tmp_path)])
    assert "KIMI_API_KEY" in capsys.readouterr().out
