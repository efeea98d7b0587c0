"""Stories: one call that meets trouble, as client, receipt, page, counters and books tell it."""

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import aiohttp
import jsonschema_rs

from tests.accounts import Export, Said, unique
from tests.counting import Counted, closed, counted, moved, of_call, of_settlement, total
from tests.processes import Judge, Served, eventually
from tests.speaking import Speaker, receipt_of, speaking
from tests.troubles import KEYS, LASTING, MODELS, TITLES, Case, Told, named, switched

_TAG = re.compile(r"<[^>]*>")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True)
class Story:
    """What is said of one call.

    Attributes:
        result: what the client got.
        shown: the receipt's JSON.
        page: the receipt's page, as a person reads it.
        moved: what moved in `/metrics` while its round ran.
        round: the cases of that round, itself included.
    """

    result: Said
    shown: Said
    page: str
    moved: Counted = field(default_factory=dict)
    round: tuple[Case, ...] = ()

    @property
    def receipt(self) -> Said:
        """What the client was told."""
        return receipt_of(self.result)


class Witness:
    """Whoever calls a service and asks everybody about it."""

    def __init__(self, speaker: Speaker, http: aiohttp.ClientSession, served: Served) -> None:
        self.speaker = speaker
        self.served = served
        self._http = http
        self._receipts: jsonschema_rs.Draft202012Validator | None = None

    async def read(self, url: str, accept: str = "*/*") -> str:
        """Read an address; one that begins with a slash is the service's."""
        full = self.served.url + url if url.startswith("/") else url
        async with self._http.get(full, headers={"Accept": accept}) as answer:
            text = await answer.text()
            assert 200 == answer.status, text
            return text

    async def counted(self, calls: int = 0) -> Counted:
        """Read the counters once they have heard of so many closed calls."""

        async def look() -> tuple[Counted, ...]:
            values = counted(await self.read("/metrics", "text/plain"))
            return (values,) if calls <= closed(values) else ()

        return (await eventually(look))[0]

    async def tell(self, result: Said) -> Story:
        """Ask for a call's receipt and page. Whatever is told as a receipt must fit the published schema."""
        if self._receipts is None:
            schema = json.loads(await self.read("/api/v1/receipt.schema.json"))
            self._receipts = jsonschema_rs.Draft202012Validator(schema)
        url = receipt_of(result)["url"]
        shown: Said = json.loads(await self.read(f"{url}.json"))
        for receipt in (receipt_of(result), shown):
            self._receipts.validate(receipt)
        return Story(result, shown, read_by_a_person(await self.read(url, "text/html")))

    async def tell_round(self, judge: Judge, cases: Sequence[Case], first: int) -> dict[str, Story]:
        """Let calls meet their troubles side by side, each marked by a number of its own."""
        marks = [f"[case {number}]" for number, _ in enumerate(cases, start=first)]
        await judge.fault(*map(switched, cases, marks))
        before = await self.counted()
        results = await asyncio.gather(*map(self._call, cases, marks))
        difference = moved(before, await self.counted(closed(before) + len(cases)))
        stories = [await self.tell(result) for result in results]
        return {
            named(case): replace(story, moved=difference, round=tuple(cases))
            for case, story in zip(cases, stories, strict=True)
        }

    async def conserved(self) -> str:
        """Read what `/health` says of its own equations."""
        checks = json.loads(await self.read("/health", "application/json"))["checks"]
        said: str = next(check["sentence"] for check in checks if check["name"] == "conservation")
        return said

    async def _call(self, case: Case, mark: str) -> Said:
        token = mark if case.way == "streamed" else None
        return await self.speaker.call(token, prompt=f"{case.told.prompt} {mark}", provider=case.provider)


@asynccontextmanager
async def witnessing(served: Served) -> AsyncIterator[Witness]:
    """Open a session for calls and one for questions."""
    async with speaking(served.socket) as speaker, aiohttp.ClientSession() as http:
        yield Witness(speaker, http, served)


@dataclass(frozen=True)
class Lived:
    """All stories of one service, its ledger and the judge's books, when all was over."""

    stories: dict[str, Story]  # by the case's name
    export: Export
    books: dict[str, Any]
    conserved: str

    def requests(self, case: Case) -> list[Said]:
        """List the requests of a case's call that reached the judge, in order."""
        arrived = {unique(request): request for request in self.books["requests"]}
        ids = [attempt["attempt_id"] for attempt in self.stories[named(case)].shown["attempts"]]
        carried = [unique(self.export.intents[attempt_id]) for attempt_id in ids]
        return [arrived[name] for name in carried if name in arrived]

    def expected(self, case: Case) -> Counted:
        """Say what must have moved in `/metrics` while the case's round ran."""
        return total(part for one in self.stories[named(case)].round for part in self._expected(one))

    def _expected(self, case: Case) -> Iterable[dict[tuple[str, ...], Fraction]]:
        told, whose = case.told, (case.provider, MODELS[case.provider])
        outcome = {None: "ok", "provider_refused": "refused"}.get(told.code, "failed")
        call = of_call("chat", outcome, ((*whose, end) for end in told.outcomes))
        yield {key: Fraction(count) for key, count in call.items()}
        if told.outcomes[-1] == "settled":
            yield of_settlement(self.requests(case)[-1], told.told_per_billed)


async def live(served: Served, judge: Judge, cases: Sequence[Case]) -> Lived:
    """Let cases happen on one service: the quick ones one by one, then the slow ones side by side."""
    await judge.reset()
    slow = [case for case in cases if case.told.slow]
    stories: dict[str, Story] = {}
    async with witnessing(served) as witness:
        for part in [*([case] for case in cases if not case.told.slow), *([slow] if slow else [])]:
            stories |= await witness.tell_round(judge, part, first=100 + len(stories))
        conserved = await witness.conserved()
    await judge.fault()
    return Lived(stories, Export(await served.export()), await judge.books(), conserved)


def read_by_a_person(page: str) -> str:
    """Take the words out of a page, blanks folded."""
    return _BLANKS.sub(" ", html.unescape(_TAG.sub("", page))).replace("\xa0", " ")


def same_story(story: Story, provider: str, told: Told) -> None:
    """Assert that the answer, the receipt's JSON and the page say the same, and what they must."""
    _same_answer(story.result, provider, told)
    _same_text(story.result)
    for receipt in (story.receipt, story.shown):
        assert told.outcomes == tuple(attempt["outcome"] for attempt in receipt["attempts"])
        assert told.verdict == receipt["verdict"]["code"], receipt["verdict"]
        assert (len(told.outcomes), None) == (receipt["provider_calls"], receipt["zero_reason"])
        assert receipt["simulated"]
        if told.outcomes:
            assert told.status == receipt["attempts"][-1]["http_status"]
    assert story.receipt["totals"] == story.shown["totals"]
    _same_page(story, told)


def _same_answer(result: Said, provider: str, told: Told) -> None:
    assert (told.code is not None) == result["isError"]
    if told.code is None:
        return
    error = result["structuredContent"]["error"]
    assert (told.code, told.retryable) == (error["code"], error["retryable"])
    assert told.remedy.format(title=TITLES[provider], key=KEYS[provider]) in error["remedy"]
    if told.code == "attempt_in_doubt":
        assert f"({told.why.replace('_', ' ')})" in error["message"]


def _same_text(result: Said) -> None:
    """Assert that an error's text is its sentence, its remedy, and, where no credit was used, why."""
    if result["isError"]:
        error, verdict, (content,) = (
            result["structuredContent"]["error"],
            receipt_of(result)["verdict"],
            result["content"],
        )
        why = [verdict["sentence"]] if verdict["word"] == "NO CREDIT USED" else []
        assert [error["message"], error["remedy"], *why] == content["text"].split("\n")


def _same_page(story: Story, told: Told) -> None:
    page, verdict = story.page, story.shown["verdict"]
    assert verdict["word"] in page
    assert verdict["sentence"] in page
    assert verdict["sentence"].startswith("SIMULATED: ")
    ends = {
        "settled": "settled",
        "refused": "refused by the provider",
        "in_doubt": "in doubt",
        "unsent": "never left",
    }
    for number, outcome in enumerate(told.outcomes, start=1):
        assert f"Attempt {number} of {len(told.outcomes)}: {ends[outcome]}" in page
    for attempt in story.shown["attempts"]:
        if attempt["outcome"] == "settled":
            assert f"Cost: {attempt['cost']['amount']} {attempt['cost']['currency']}" in page
        else:
            assert (None, None) == (attempt["cost"]["amount"], attempt["usage"])
    why = told.why.replace("_", " ")
    if "in_doubt" in told.outcomes:
        (sums,) = story.shown["totals"]
        assert f"≤ {sums['in_doubt_held']} {sums['currency']} in doubt: held, not counted as spend" in page
        assert f"The request left and no usage came back: {why}. The provider may have billed it." in page
    elif told.outcomes[-1:] == ("refused",):
        assert f"0 the provider refused it: {why}" in page
        assert f"The provider refused the request: {why}. No usage came with the refusal, so nothing was" in page
        assert f"(HTTP {told.status}, {why})" in verdict["sentence"]
        lasting = "is not known to help" if told.why in LASTING else "does not help"
        assert f"Trying again{'may help' if told.retryable else lasting}" in page
