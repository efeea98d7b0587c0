"""Health that can fail: each trouble of the outside is named, with what to do; nothing unknown is called well."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import apsw
import pytest

from service.app import running
from service.environment import load
from service.equipment import load_providers
from tests.journeys.conftest import KEYS
from tests.processes import WAIT_S, Judge, Served, Serving, end, eventually, get, get_json, serve
from tests.speaking import speaking

SKEW_S = 120
QUIET = {"EXAI_READINGS": "0"}  # no counter is read, so no provider is asked and no entry written but for calls


async def checks_of(served: Served) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Ask for health; give it whole, and its checks by title."""
    health: dict[str, Any] = await get_json(f"{served.url}/health")
    titled = {
        f"{check['name']} {check['of']}" if check["of"] else check["name"]: check for check in health["checks"]
    }
    return health, titled


def by_provider(checks: dict[str, dict[str, Any]], provider: str) -> dict[str, Any]:
    """Find the check of a provider's one wallet."""
    (found,) = (
        check for check in checks.values() if check["name"] == "wallet" and check["detail"]["provider"] == provider
    )
    return found


async def ask(served: Served, provider: str) -> bool:
    """Ask a provider for a word; say whether it was answered."""
    async with speaking(served.socket) as speaker:
        return not (await speaker.call(prompt="Is all well?", provider=provider))["isError"]


async def test_what_was_not_asked_is_unknown_until_it_is(serving: Serving, judge: Judge) -> None:
    """A fresh start knows nothing of providers, keys and clock, and says so; one call each makes it known."""
    served = serving(**QUIET)
    health, checks = await checks_of(served)
    assert ("ok", []) == (health["status"], health["reasons"])
    assert 5 == len(health["unknown"])
    assert {"unknown"} == {
        check["state"] for check in checks.values() if check["name"] in {"clock", "wallet", "provider"}
    }
    _, words = await get(f"{served.url}/health", Accept="text/plain")
    assert words.startswith("ok; not known yet: clock, wallet ")
    assert 0 == len(await judge.requests())
    for provider in ("kimi", "glm"):
        assert await ask(served, provider)
    health, checks = await checks_of(served)
    assert ("ok", [], []) == (health["status"], health["reasons"], health["unknown"])
    assert {"ok", "off"} == {check["state"] for check in checks.values()}
    assert "off" == checks["spans"]["state"]
    assert abs(checks["clock"]["detail"]["ahead_of_kimi_s"]) <= 30
    for check in checks.values():
        if check["name"] == "wallet":
            assert check["sentence"].startswith("SIMULATED")
            assert check["of"].endswith(check["detail"]["fingerprint"])
    assert not [key for key in KEYS.values() if key in json.dumps(health) + words]


@pytest.mark.parametrize(
    ("key", "remedy"), [("sim-revoked-health", "not revoked"), ("sim-empty-health", "Top it up")]
)
async def test_a_refused_key_is_named_and_survives_a_restart(
    serving: Serving, judge: Judge, key: str, remedy: str
) -> None:
    """One refused call degrades its wallet and no other; the next start remembers, from the ledger."""
    served = serving(KIMI_API_KEY=key, **QUIET)
    assert not await ask(served, "kimi")
    assert await ask(served, "glm")
    health, checks = await checks_of(served)
    refused = by_provider(checks, "kimi")
    assert ("degraded", [f"wallet {refused['of']}: {refused['sentence']}"]) == (
        health["status"],
        health["reasons"],
    )
    assert remedy in refused["sentence"]
    assert "ok" == by_provider(checks, "glm")["state"]
    assert key not in json.dumps(health)
    assert 200 == (await get(f"{served.url}/health/ready"))[0]
    assert 0 == await served.stop()
    again = serve(served.folder, {**KEYS, **judge.base_urls, "KIMI_API_KEY": key})
    try:
        _, checks = await checks_of(again)
    finally:
        end(again.child)
    refused, good = by_provider(checks, "kimi"), by_provider(checks, "glm")
    assert ("degraded", "unknown") == (refused["state"], good["state"])
    assert "before this start" in refused["sentence"]


async def test_a_counter_that_cannot_be_read_is_named(serving: Serving) -> None:
    """Without any call: the key that may not read degrades its proof alone, with what to do."""
    key = "sim-revoked-proof"
    served = serving(KIMI_API_KEY=key)

    async def looked() -> dict[str, dict[str, Any]]:
        _, checks = await checks_of(served)
        proofs = {check["detail"]["provider"]: check for check in checks.values() if check["name"] == "proof"}
        return proofs if "unknown" not in {check["state"] for check in proofs.values()} else {}

    proofs = await eventually(looked)
    assert ("degraded", "ok") == (proofs["kimi"]["state"], proofs["glm"]["state"])
    assert "KIMI_API_KEY" in proofs["kimi"]["sentence"]
    assert "account_report" == proofs["glm"]["detail"]["last_reading"]
    assert key not in json.dumps(proofs)


async def test_a_record_that_was_changed_is_found_by_the_audit(serving: Serving, judge: Judge) -> None:
    """A row that says something else than its entries, which a start does not see, is named soon after it."""
    served = serving()
    assert await ask(served, "kimi")
    _, checks = await checks_of(served)
    assert "ok" == checks["evidence"]["state"]
    assert 0 == await served.stop()
    with apsw.Connection(str(served.folder / "data" / "ledger.sqlite3")) as connection:
        connection.execute("UPDATE attempts SET cost_pico = 1")
    again = serve(served.folder, {**KEYS, **judge.base_urls})

    async def found() -> dict[str, Any] | None:
        _, checks = await checks_of(again)
        evidence = checks["evidence"]  # the row, and the sum that it belongs to
        return evidence if evidence["detail"]["problems"] == 2 else None

    try:
        evidence = await eventually(found)
        assert evidence is not None
        assert "degraded" == evidence["state"]
        assert "the rows differ in 1/cost_pico" in evidence["sentence"]
        assert "exai ledger verify" in evidence["sentence"]
        _, page = await get(f"{again.url}/console/evidence")
        assert "≠ The record was changed" in page
        _, metrics = await get(f"{again.url}/metrics")
        assert "exai_ledger_audit_problems 2.0" in metrics
    finally:
        end(again.child)


async def test_a_provider_that_cannot_be_reached_is_named(serving: Serving) -> None:
    """Three attempts of one call find nobody there: that is enough."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    served = serving(KIMI_BASE_URL=f"http://127.0.0.1:{port}/v1")
    assert not await ask(served, "kimi")
    health, checks = await checks_of(served)
    assert ("degraded", "degraded", 3) == (
        health["status"],
        checks["provider kimi"]["state"],
        checks["provider kimi"]["detail"]["failures"],
    )
    assert "unsent, connection_refused" in checks["provider kimi"]["sentence"]
    assert "unknown" == checks["provider glm"]["state"]


async def test_a_clock_that_differs_is_named(serving: Serving, judge: Judge) -> None:
    """A provider two minutes ahead makes ours two minutes late: somebody must look."""
    served = serving()
    await judge.fault({"kind": "clock_skew", "seconds": SKEW_S, "provider": "kimi"})
    assert await ask(served, "kimi")
    health, checks = await checks_of(served)
    assert ("degraded", "degraded") == (health["status"], checks["clock"]["state"])
    assert abs(SKEW_S + checks["clock"]["detail"]["ahead_of_kimi_s"]) <= 30
    assert "Set the clock" in checks["clock"]["sentence"]
    await judge.fault()
    assert await ask(served, "kimi")
    assert "ok" == (await checks_of(served))[1]["clock"]["state"]


async def test_a_ledger_that_was_deleted_ends_the_service(serving: Serving, judge: Judge) -> None:
    """Health says so at once; the first call after it ends the service, before a byte leaves."""
    served = serving(**QUIET)
    assert 200 == (await get(f"{served.url}/health/ready"))[0]
    (served.data / "ledger.sqlite3").unlink()
    health, checks = await checks_of(served)
    assert ("degraded", "degraded") == (health["status"], checks["store"]["state"])
    status, words = await get(f"{served.url}/health/ready")
    assert (503, True) == (status, "moved, deleted or replaced" in words)
    async with speaking(served.socket) as speaker:
        await speaker.begin(prompt="Is all well?", provider="kimi")
        assert 1 == await served.ended()
    assert [] == await judge.requests()


async def test_a_ledger_that_was_deleted_refuses_calls(judge: Judge, tmp_path: Path) -> None:
    """No call is sent any more, by words that say why and that nothing was sent; nor is the service ready."""
    given = {"EXAI_DATA_DIR": str(tmp_path), "EXAI_PORT": "0", **KEYS, **QUIET, **judge.base_urls}
    settings = load(given, None, {}, load_providers().values()).settings
    async with running(settings, environ={}) as service, speaking(service.mcp_url) as speaker:
        assert not (await speaker.call(prompt="Is all well?", provider="kimi"))["isError"]
        (tmp_path / "ledger.sqlite3").unlink()
        for provider in ("kimi", "glm"):
            answer = await speaker.call(prompt="Is all well?", provider=provider)
            words = answer["content"][0]["text"]
            assert (True, "not_recorded") == (answer["isError"], answer["structuredContent"]["error"]["code"])
            assert "the ledger's file was moved, deleted or replaced" in words
            assert "Nothing was sent to a provider" in words
        await asyncio.wait_for(service.stopped.wait(), WAIT_S)
        assert 503 == (await get(f"{service.url}/health/ready"))[0]
        health: dict[str, Any] = await get_json(f"{service.url}/health")
        (store,) = (check for check in health["checks"] if check["name"] == "store")
        assert ("degraded", True) == (store["state"], "no call is taken" in store["sentence"])
    assert 1 == len(await judge.requests())
