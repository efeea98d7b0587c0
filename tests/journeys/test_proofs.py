"""Proofs: what a client takes away from one call is checked elsewhere, with nothing of the service but its key."""

import asyncio
import json
from pathlib import Path

from tests.processes import WAIT_S, Served, Serving, get, run
from tests.speaking import receipt_of, speaking


async def exai(served: Served, *words: str) -> tuple[int, str]:
    """Run a command on the service's ledger, as its operator would."""
    environ = {"EXAI_DATA_DIR": str(served.data)}
    status, said = await run(*words, folder=served.folder, environ=environ)
    return status, said.decode()


async def elsewhere(folder: Path, *words: str) -> tuple[int, str]:
    """Run a command where there is no ledger."""
    status, said = await run("ledger", "verify", *words, folder=folder)
    return status, said.decode()


async def test_a_receipts_entry_is_proved_far_from_the_service(serving: Serving, tmp_path: Path) -> None:
    """The receipt names the entry, the API its proof and the key: a stranger's machine says that it holds."""
    served = serving()
    async with speaking(served.socket) as speaker:
        receipt = receipt_of(await speaker.call(prompt="hello"))
    place = receipt["attempts"][0]["ledger"]
    _, key = await get(f"{served.url}/api/v1/key")
    status, proof = await get(f"{served.url}/api/v1/proof/{place['index']}")
    assert 200 == status
    path = tmp_path / "proof"
    path.write_text(proof)
    status, said = await elsewhere(tmp_path, str(path), "--key", key.strip())
    assert (0, True) == (status, f"entry {place['index']} of the log {place['origin']}" in said)
    status, by_command = await exai(served, "ledger", "prove", receipt["attempts"][0]["attempt_id"])
    assert 0 == status
    assert proof.partition("\n\n")[0].split("\n")[1] in by_command


async def test_the_checkpoint_in_a_receipt_is_held_against_the_ledger(serving: Serving, tmp_path: Path) -> None:
    """It left the machine with the answer: the ledger must still be the one that it was signed over."""
    served = serving()
    async with speaking(served.socket) as speaker:
        receipt = receipt_of(await speaker.call(prompt="hello"))
    kept = tmp_path / "kept"
    kept.write_text(receipt["checkpoint"])
    status, said = await exai(served, "ledger", "verify", "--checkpoint", str(kept))
    assert 0 == status, said
    kept.write_text(receipt["checkpoint"].replace("\n", "\n9", 1))
    status, said = await exai(served, "ledger", "verify", "--checkpoint", str(kept))
    assert (1, True) == (status, "signature is wrong" in said)


async def test_an_export_beside_the_running_service_is_covered_whole(serving: Serving, tmp_path: Path) -> None:
    """Calls go on meanwhile; whatever the export holds, its own last line is signed over."""
    served = serving()
    path = tmp_path / "export.jsonl"
    async with speaking(served.socket) as speaker:
        calls = asyncio.gather(*(speaker.call(prompt="hello") for _ in range(8)))
        status, text = await exai(served, "ledger", "export")
        await asyncio.wait_for(calls, WAIT_S)
    assert 0 == status
    path.write_text(text)
    _, key = await get(f"{served.url}/api/v1/key")
    status, said = await elsewhere(tmp_path, str(path), "--key", key.strip(), "--format", "json")
    found = json.loads(said)
    assert (0, found["entries"], True) == (status, found["covered"], found["entries"] > 0)


async def test_what_a_kill_left_unsigned_is_left_out_of_an_export(serving: Serving, tmp_path: Path) -> None:
    """Nothing runs any more: the export holds what is signed and says what it leaves out; nothing is changed."""
    served = serving()
    async with speaking(served.socket) as speaker:
        await speaker.call(prompt="hello")
        served.child.kill()
    served.child.wait()
    status, text = await exai(served, "ledger", "export")
    path = tmp_path / "export.jsonl"
    path.write_text("".join(line for line in text.splitlines(keepends=True) if line.startswith("{")))
    whole, said = await exai(served, "ledger", "verify", "--format", "json")
    kept = json.loads(said)
    assert (0, 1 if kept["not_covered"] else 0) == (whole, status)
    status, said = await elsewhere(tmp_path, str(path), "--format", "json")
    found = json.loads(said)
    assert (0, kept["covered"], kept["covered"]) == (status, found["entries"], found["covered"])
