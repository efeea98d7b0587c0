"""`exai prove`: the verdict, the bundle that a stranger can check, and the exit status."""

import asyncio
import json
import threading
import zipfile
from functools import partial
from pathlib import Path

import msgspec
import pytest

from service.cli._bundle import cost_text
from service.cli._main import main
from service.cli.prove import SIMULATED_STATUS, Live, _on_daemon, status_of
from service.core.entries import decode
from service.core.proving import Proof
from service.core.words import ReadingCause, VerdictWord
from service.ledger.checkpoints import Checkpoints
from service.ledger.proving import covering
from service.serving.operator import OPERATOR
from service.simulator.app import start
from tests.cli.test_bundle import fill_disk
from tests.conftest import Made
from tests.processes import run
from tests.tools.told import READ

PROOF = Proof(
    wallet="w",
    provider="kimi",
    simulated=False,
    model="kimi-k2.6",
    unit="USD",
    calls=1,
    spent="0.00113",
    opening=None,
    closing=None,
    verdict=None,
    word=VerdictWord.PROVEN,
    code="P1",
    sentence="The balance fell.",
)


def test_the_status_is_the_answer() -> None:
    """0 proven, 3 unverified, 4 mismatch, 5 no credit used; whatever a simulator says is 6."""
    found = [status_of(msgspec.structs.replace(PROOF, word=word)) for word in VerdictWord]
    assert [0, 3, 4, 5] == found
    assert {SIMULATED_STATUS} == {
        status_of(msgspec.structs.replace(PROOF, word=word, simulated=True)) for word in VerdictWord
    }


def test_the_live_line(made: Made) -> None:
    """A proof's own calls and readings are told, others are not; an unchanged reading is told rarely."""
    live = Live()
    other, own = made.tool_call(), made.tool_call(tool="prove", client=OPERATOR.name)
    settled = made.settlement()
    assert live.told(other) is None
    assert live.told(settled) is None
    assert f"tool call {own.tool_call_id}" == live.told(own)
    assert "call settled: 0.25 USD" in (live.told(settled) or "")
    assert "balance read: available 49.58894 USD" in (live.told(READ) or "")
    assert live.told(READ) is None
    later = msgspec.structs.replace(READ, at="2026-11-22T16:21:11.000000Z")
    assert "(unchanged: waiting)" in (live.told(later) or "")
    assert live.told(msgspec.structs.replace(READ, cause=ReadingCause.SCHEDULE, counter="other")) is None
    played = msgspec.structs.replace(READ, counter="played", simulated=True)
    assert "SIMULATED: played read: available" in (live.told(played) or "")


@pytest.fixture(scope="module")
def proved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str]:
    """Prove once, without a key and without a running service: the folder, the status, and what was said."""
    folder = tmp_path_factory.mktemp("prove")
    environ = {"EXAI_DATA_DIR": str(folder / "data")}
    status, said = asyncio.run(run("prove", "--wallet", "kimi", folder=folder, environ=environ))
    return folder, status, said.decode()


def test_simulated_in_large_letters(proved: tuple[Path, int, str]) -> None:
    """Without a key simulators are asked; the verdict says SIMULATED first, and so does the status."""
    _, status, said = proved
    assert SIMULATED_STATUS == status, said
    assert "S I M U L A T E D" in said
    assert "\nSIMULATED: PROVEN (P1)\n" in said
    assert "Ours:   1 call of kimi-k2.6" in said
    assert 2 == said.count("Theirs: balance read: available ")


def test_a_stranger_can_check_the_bundle(
    proved: tuple[Path, int, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each entry of it by `exai ledger verify` and the bundle's key alone; the receipt says PROVEN."""
    (path,) = proved[0].glob("exai-proof-*.zip")
    with zipfile.ZipFile(path) as bundle:
        bundle.extractall(tmp_path)
    assert (tmp_path / "README.txt").read_text().startswith("SIMULATED: A proof of what tool call ")
    told = json.loads((tmp_path / "proof.json").read_text())
    assert f"exai-proof-{told['tool_call_id'][:12]}.zip" == path.name
    receipt = json.loads((tmp_path / "receipts" / f"{told['tool_call_id']}.json").read_text())
    assert ("PROVEN", "P1") == (receipt["verdict"]["word"], receipt["verdict"]["code"])
    kinds = {decode(entry.read_bytes()).__struct_config__.tag for entry in (tmp_path / "entries").iterdir()}
    assert {"tool_call", "intent", "settlement", "answer", "reading", "verdict"} <= kinds
    indexes = {entry.name.partition("-")[0] for entry in (tmp_path / "entries").iterdir()}
    assert {str(told["opening"]["index"]), str(told["closing"]["index"]), str(told["verdict"]["index"])} <= indexes
    key = f"@{tmp_path / 'public_key.txt'}"
    proofs = sorted((tmp_path / "proofs").iterdir())
    assert indexes == {proof.name.partition(".")[0] for proof in proofs}
    elsewhere = str(tmp_path / "nowhere")
    for proof in proofs:
        words = ["ledger", "verify", str(proof), "--key", key, "--data-dir", elsewhere, "--format", "json"]
        assert 0 == main(words)
        (entry,) = (tmp_path / "entries").glob(f"{proof.name.partition('.')[0]}-*")
        assert json.loads(entry.read_bytes()) == json.loads(capsys.readouterr().out)["entry"]


def test_a_changed_proof_is_found(proved: tuple[Path, int, str], tmp_path: Path) -> None:
    """One letter of an entry, and its proof holds no more."""
    (path,) = proved[0].glob("exai-proof-*.zip")
    with zipfile.ZipFile(path) as bundle:
        name = next(one for one in bundle.namelist() if one.startswith("proofs/"))
        text = bundle.read(name).decode()
        (tmp_path / "key").write_bytes(bundle.read("public_key.txt"))
    lines = text.splitlines()
    lines[1] = lines[1][:20] + ("A" if lines[1][20] != "A" else "B") + lines[1][21:]
    (tmp_path / "changed").write_text("\n".join(lines) + "\n")
    words = ["ledger", "verify", str(tmp_path / "changed"), "--key", f"@{tmp_path / 'key'}"]
    assert 1 == main([*words, "--data-dir", str(tmp_path / "nowhere")])


async def test_a_revoked_key_is_said_in_a_sentence(tmp_path: Path) -> None:
    """No trace of a fault of ours: no reading, no call, and what to do."""
    simulator = await start(seed="prove")
    try:
        environ = {
            "EXAI_DATA_DIR": str(tmp_path / "data"),
            "KIMI_API_KEY": "sim-revoked-1",
            "KIMI_BASE_URL": simulator.urls["KIMI_BASE_URL"],
        }
        status, said = await run("prove", "--format", "json", folder=tmp_path, environ=environ)
    finally:
        await simulator.close()
    told = said.decode()
    assert SIMULATED_STATUS == status, told
    assert '"code": "U4"' in told
    assert "Traceback" not in told


def test_a_bundle_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there is refused before anything is spent."""
    (tmp_path / "taken").touch()
    assert 1 == main(["prove", "--out", str(tmp_path / "taken"), "--data-dir", str(tmp_path / "data")])
    assert "is there already" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_place_that_takes_no_file_is_refused_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is spent, and before there is a ledger."""
    out = tmp_path / "nowhere" / "proof.zip"
    assert 1 == main(["prove", "--out", str(out), "--data-dir", str(tmp_path / "data")])
    assert "no file can be written to" in capsys.readouterr().err
    long = str(tmp_path / f"{'p' * 300}.zip")
    assert 1 == main(["prove", "--out", long, "--data-dir", str(tmp_path / "data")])
    assert "cannot be written: File name too long" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_proof_is_shown_though_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was paid for: the verdict is told, the loss is said, and the status is 1."""
    monkeypatch.setattr(Path, "open", fill_disk)
    monkeypatch.setenv("EXAI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    assert 1 == main(["prove", "--wallet", "glm"])
    said = capsys.readouterr()
    assert "SIMULATED: PROVEN (P1)" in said.out
    assert "Bundle:" not in said.out
    assert "no bundle was written: exai-proof-" in said.err
    assert "No space left on device. The ledger holds the proof: exai ledger show " in said.err
    assert not list(tmp_path.glob("*.zip"))


def test_a_proof_is_shown_though_no_checkpoint_covers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON, too: without a bundle, and with the status that the command exits with."""
    monkeypatch.setattr("service.cli._bundle.covering", partial(covering, wait_s=0))
    monkeypatch.setattr("service.cli.prove.Checkpoints", lambda _: Checkpoints(tmp_path / "lost"))
    monkeypatch.setenv("EXAI_DATA_DIR", str(tmp_path / "data"))
    assert 1 == main(["prove", "--wallet", "glm", "--format", "json", "--out", str(tmp_path / "p.zip")])
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert ("PROVEN", None, 1) == (told["proof"]["word"], told["bundle"], told["status"])
    assert "no bundle was written: no signed checkpoint covers the proof yet." in said.err


async def test_an_interrupt_waits_for_no_proof() -> None:
    """What runs on the daemon's thread is left behind, and its error reaches who still waits."""
    begun, free = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        free.wait(20)

    waiting = asyncio.create_task(_on_daemon(work))
    await asyncio.to_thread(begun.wait, 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not free.is_set()
    free.set()
    with pytest.raises(ZeroDivisionError):
        await _on_daemon(lambda: 1 // 0)


def test_the_bundle_says_how_amounts_are_worked_out(made: Made) -> None:
    """By each settlement's rates; of a plan by what it counts at that time, which no entry states."""
    assert "usage x rates of each settlement" in cost_text([made.intent(), made.settlement()])
    at = "2026-11-23T06:00:00.000000Z"  # 14:00 in Beijing, a Monday: a peak hour
    plan = made.intent(provider="glm", model="glm-5.3", plan="coding")
    said = cost_text([plan, made.settlement(index=7, at=at)])
    assert "7-settlement.json: glm-5.3, credits per million tokens: 690 uncached input, 170 cached input" in said
    assert "nothing signed here states" in said
    half = cost_text([plan, made.settlement(index=7, at="2026-11-23T05:59:59.000000Z")])
    assert "345 uncached input, 85 cached input, 1200 output" in half


def test_the_bundle_says_what_refusals_and_doubts_mean(proved: tuple[Path, int, str]) -> None:
    """Neither adds an amount; a doubt leaves the sum unknown, and is looked up at the provider."""
    (path,) = proved[0].glob("exai-proof-*.zip")
    with zipfile.ZipFile(path) as bundle:
        readme = bundle.read("README.txt").decode()
    assert "A refusal, entries/*-refusal.json, told of no usage" in readme
    assert "`spent` is then null" in readme
