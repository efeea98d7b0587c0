"""A statement that the simulators' own books make: every row finds its call, by its id or by time and tokens."""

import asyncio
import csv
import io
import json

from tests.processes import Judge, Served, Serving, run
from tests.speaking import Said, speaking

PROMPTS = ("One.", "Two, and some words more.", "Three, and even more words than before, so that it costs more.")
HEAD = ("Request ID", "Time", "Model", "Prompt tokens", "Completion tokens", "Cost", "Currency")


def statement(requests: list[Said], *, with_ids: bool = True) -> str:
    """Write the books of one provider as a statement might list them, the newest first."""
    out = io.StringIO()
    sheet = csv.writer(out)
    sheet.writerow(HEAD[0 if with_ids else 1 :])
    for request in reversed(requests):
        usage, bill = request["usage"], request["billed"]
        tokens = usage["prompt_tokens"], usage["completion_tokens"]
        row = (
            request["request_id"],
            request["at"],
            request["model"],
            *tokens,
            bill["amount"],
            bill["currency"],
        )
        sheet.writerow(row[0 if with_ids else 1 :])
    return out.getvalue()


async def match(served: Served, text: str, *words: str) -> tuple[int, Said]:
    """Run the command beside the service; give exit status and what it told."""
    file = served.folder / "statement.csv"
    await asyncio.to_thread(file.write_text, text, encoding="utf-8")
    words = ("ledger", "match", str(file), "--data-dir", str(served.data), "--format", "json", *words)
    status, said = await run(*words, folder=served.folder)
    told: Said = json.loads(said)
    return status, told


async def test_a_statement_from_the_books_matches(serving: Serving, judge: Judge) -> None:
    """Honest: 0. A row less: 3, ours. A row more: 3, theirs. An amount changed: 4."""
    served = serving(GLM_API_KEY="")
    async with speaking(served.socket) as speaker:
        for prompt in PROMPTS:
            await speaker.call(prompt=prompt, provider="kimi")
    requests = [one for one in await judge.requests() if one["provider"] == "kimi" and one["usage"]]
    assert len(PROMPTS) == len(requests)
    for with_ids, by in ((True, "request_id"), (False, "time_and_tokens")):
        status, told = await match(served, statement(requests, with_ids=with_ids))
        assert (0, True) == (status, told["simulated"])
        assert [("matched", by)] * len(PROMPTS) == [(pair["status"], pair["by"]) for pair in told["pairs"]]
        (sums,) = told["sums"]
        assert sums["matched_ours"] == sums["matched_theirs"] == sums["ours"] == sums["theirs"]
    _, told = await match(served, statement([requests[0], requests[2]]))
    assert ["matched", "missing_there", "matched"] == [pair["status"] for pair in told["pairs"]]
    stranger = {**requests[1], "request_id": "nobody-1", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    status, told = await match(served, statement([*requests, stranger]))
    assert (3, 1) == (status, told["counts"]["missing_here"])
    dearer = {**requests[1], "billed": {**requests[1]["billed"], "amount": "9.5"}}
    status, told = await match(served, statement([requests[0], dearer, requests[2]]))
    assert (4, 1) == (status, told["counts"]["amount_differs"])
