"""The page of words: what do the verdicts and their reasons mean?"""

from aiohttp import web

from console.codes import CODES, Code
from console.page import Page, answer_json, show
from service.core.verdict import word_of
from service.core.words import VerdictWord

VERSION = 1


async def _show(request: web.Request) -> web.Response:
    return show(request, "verdicts.html", groups=[(word, _of(word)) for word in VerdictWord])


async def _json(_request: web.Request) -> web.Response:
    codes = [
        {"code": code, "word": word, "short": one.short, "means": one.means, "next_step": one.step or None}
        for word in VerdictWord
        for code, one in _of(word)
    ]
    return answer_json({"version": VERSION, "codes": codes})


def _of(word: VerdictWord) -> list[tuple[str, Code]]:
    return [(code, one) for code, one in CODES.items() if word_of(code) is word]


PAGE = Page("verdicts", (web.get("/help/verdicts", _show), web.get("/help/verdicts.json", _json)))
