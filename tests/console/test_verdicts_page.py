"""The page of words: every code of the rule, once, under its verdict."""

from typing import TYPE_CHECKING

from console.codes import CODES, REASONS, next_step
from service.core.verdict import CODES as RULED
from service.core.verdict import word_of
from service.core.words import CheckState, VerdictWord

if TYPE_CHECKING:
    from tests.console.conftest import Browser, Shows


async def test_every_code_is_explained(shows: "Shows", browser: "Browser") -> None:
    """Page and JSON hold every code of the rule with its sentence, every verdict and every state of a check."""
    page = await shows("/help/verdicts")
    document = await (await browser.get("/console/help/verdicts.json")).json()
    assert RULED == {one["code"] for one in document["codes"]}
    for one in document["codes"]:
        assert word_of(one["code"]) == one["word"]
        assert f"{one['code']} {one['short']}" in page
        assert one["means"] in page
    for word in (*VerdictWord, *CheckState):
        assert word in page


def test_what_is_unverified_or_wrong_has_words_and_a_step() -> None:
    """Where something is open or wrong, a list says why and a receipt what to do; PROVEN needs neither step."""
    for code, one in CODES.items():
        needs = word_of(code) in (VerdictWord.UNVERIFIED, VerdictWord.MISMATCH)
        assert needs == bool(one.step), code
        assert (code in REASONS) == (word_of(code) is not VerdictWord.NO_CREDIT_USED)


def test_a_simulators_calls_are_not_sent_to_a_provider() -> None:
    """What only a real provider can answer is not advised where a simulator stands in."""
    assert None is next_step("U6", simulated=True)
    assert None is not next_step("U6", simulated=False)
    assert None is not next_step("U1", simulated=True)
    assert None is next_step("P1", simulated=False)
