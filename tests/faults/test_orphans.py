"""Orphans: a provider was asked, and its settlement cannot be written.

The same fault as in Let's Encrypt's boulder, where the second insert of an issuance fails
(`test/integration/cert_storage_failed_test.go`): what was promised before it must lead to what was done.
"""

from pathlib import Path

import apsw

from service.ledger.sqlite import FILE_NAME
from tests.accounts import Export
from tests.processes import Judge, end, get_json, serve
from tests.speaking import receipt_of, speaking

TRIGGER = """
    CREATE TRIGGER planted BEFORE INSERT ON entries WHEN NEW.kind = 'settlement'
    BEGIN SELECT RAISE(ABORT, 'planted'); END
"""


def planted(data: Path, statement: str) -> None:
    """Change the ledger's tables while no service runs."""
    connection = apsw.Connection(str(data / FILE_NAME))
    connection.execute(statement)
    connection.close()


async def test_a_settlement_that_cannot_be_written_leaves_its_call_in_doubt(judge: Judge, tmp_path: Path) -> None:
    """The client hears of it, with the call's id; the service ends; the next start holds the worst case."""
    environ = {"KIMI_API_KEY": "sim-rich-storage", **judge.base_urls}
    served = serve(tmp_path, environ)
    assert 0 == await served.stop()
    planted(served.data, TRIGGER)
    served = serve(tmp_path, environ)
    try:
        async with speaking(served.socket) as speaker:
            result = await speaker.call(prompt="hello", provider="kimi")
        assert 1 == await served.ended()
    finally:
        end(served.child)
    planted(served.data, "DROP TRIGGER planted")
    receipt, error = receipt_of(result), result["structuredContent"]["error"]
    assert (True, "not_recorded") == (result["isError"], error["code"])
    assert receipt["tool_call_id"] in error["message"]
    assert 1 == len(await judge.requests())
    served = serve(tmp_path, environ)
    try:
        shown = await get_json(f"{served.url}/console/calls/{receipt['tool_call_id']}.json")
        page = await get_json(f"{served.url}/console/calls.json")
        async with speaking(served.socket) as speaker:
            assert not (await speaker.call(prompt="hello", provider="kimi"))["isError"]
        assert 0 == await served.stop()
    finally:
        end(served.child)
    assert ["in_doubt"] == [attempt["outcome"] for attempt in shown["attempts"]]
    (total,) = page["totals"]
    held = Export(await served.export()).of("intent")[0]["worst_case"]["amount"]
    assert (1, "0", held) == (total["in_doubt"], total["cost"], total["held"])
    assert 0 == (await served.verify())[0]
