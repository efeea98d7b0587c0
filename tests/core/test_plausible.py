"""Counts fail only where no tokenizer could have made them of the text; what was recorded passes."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from service.core.bounds import input_tokens_max
from service.core.entries import WorstCase
from service.core.plausible import HIDDEN_TOKENS_MAX, MISCOUNT_TOKENS_MAX, Plausibility, plausible
from service.core.usage import Usage
from service.core.words import CheckState

if TYPE_CHECKING:
    from tests.conftest import Made

BOUND = WorstCase(input_tokens=600, output_tokens=100_000, currency="USD", amount="1.5")


def judged(made: "Made", output: int, reasoning: int, **changed: Any) -> Plausibility:  # noqa: ANN401 - any field
    """Look at an answer with so many output tokens."""
    usage = made.usage(output_tokens=output, reasoning_tokens=reasoning)
    intent = made.intent(max_output_tokens=100_000, worst_case=BOUND)
    fields: dict[str, Any] = {"text_bytes": 400, "reasoning_bytes": 0, "usage": usage, **changed}
    call = made.call(intent, made.settlement(1, **fields))
    return plausible(call.attempts[0])


@pytest.mark.parametrize(
    ("output", "reasoning", "sizes", "state"),
    [
        (100, 0, (400, 0), CheckState.PASS),
        (400 + HIDDEN_TOKENS_MAX, 0, (400, 0), CheckState.PASS),
        (401 + HIDDEN_TOKENS_MAX, 0, (400, 0), CheckState.FAIL),
        (90_000, 89_900, (400, 5), CheckState.PASS),
        (1_312, 30, (400, 90), CheckState.FAIL),
        (480, 0, (400, 100), CheckState.PASS),
        (30, 31, (1, 90), CheckState.PASS),
        (84, 0, (128 * 100, 0), CheckState.PASS),
        (83, 0, (128 * 100, 0), CheckState.FAIL),
        (5, 0, (0, 0), CheckState.NOT_AVAILABLE),
        (90_000, 0, (None, None), CheckState.NOT_AVAILABLE),
    ],
)
def test_only_what_no_tokenizer_makes_of_a_text_fails(
    made: "Made", output: int, reasoning: int, sizes: tuple[int | None, int | None], state: CheckState
) -> None:
    """Reasoning is left out where the provider counts it, else its text is counted in; an unknown size is none."""
    text_bytes, reasoning_bytes = sizes
    looked = judged(made, output, reasoning, text_bytes=text_bytes, reasoning_bytes=reasoning_bytes)
    assert state == looked.state


def test_a_sentence_has_both_numbers(made: "Made") -> None:
    """What the provider counted, and what the text is worth."""
    assert (
        "The provider counted 1,282 output tokens beside its reasoning;"
        " the 400 bytes of text that came are worth at most 464."
    ) == judged(made, 1_312, 30).evidence
    assert (
        "The provider counted 1 output tokens beside its reasoning;"
        " the 128,000 bytes of text that came are worth at least 984."
    ) == judged(made, 1, 0, text_bytes=128_000).evidence
    assert (
        "The provider counted 100 output tokens for 400 bytes of text; a text of that size can hold 0 to 464"
        " (bytes, v1)."
    ) == judged(made, 100, 0).evidence


def test_what_the_request_cannot_hold_fails_whatever_the_text(made: "Made") -> None:
    """More input than bytes were sent, more output than was allowed: off by a few is no contradiction."""
    intent = made.intent()
    usages = {
        600: made.usage(uncached_input_tokens=560),
        601: made.usage(uncached_input_tokens=561),
        1000 + MISCOUNT_TOKENS_MAX: made.usage(output_tokens=1000 + MISCOUNT_TOKENS_MAX),
        1001 + MISCOUNT_TOKENS_MAX: made.usage(output_tokens=1001 + MISCOUNT_TOKENS_MAX),
    }
    looked = {
        count: plausible(made.call(intent, made.settlement(usage=usage)).attempts[0])
        for count, usage in usages.items()
    }
    assert [CheckState.NOT_AVAILABLE, CheckState.FAIL] * 2 == [one.state for one in looked.values()]
    assert "The provider counted 601 input tokens; the request can hold at most 600." == looked[601].evidence
    assert (
        "The provider counted 1,017 output tokens; the request allowed at most 1,000."
        == looked[1001 + MISCOUNT_TOKENS_MAX].evidence
    )


@pytest.mark.parametrize(
    ("flag", "state"),
    [
        ("header_differs", CheckState.FAIL),
        ("cached_counts_differ", CheckState.FAIL),
        ("reasoning_above_output", CheckState.PASS),
        ("total_differs", CheckState.PASS),
        ("cached_above_input", CheckState.PASS),
    ],
)
def test_two_numbers_of_one_thing_fail_where_they_change_the_price(
    made: "Made", flag: str, state: CheckState
) -> None:
    """Two counts of cached tokens disagree on the price; sums off by one were recorded and change nothing."""
    looked = judged(made, 100, 30, usage_flags=(flag,))
    assert state == looked.state
    assert (state is CheckState.FAIL) == (
        "40 cached tokens" in looked.evidence or "tokens, 40 and" in looked.evidence
    )


def test_what_no_text_shows_is_not_compared(made: "Made") -> None:
    """A call of tools, an empty text, an entry without sizes, a text that may be cut: each says why."""
    looked = [
        judged(made, 9, 0, finish_reason="tool_calls", text_bytes=0),
        judged(made, 9, 0, text_bytes=0),
        judged(made, 9, 0, text_bytes=None),
        judged(made, 9, 0, finish_reason="sensitive"),
    ]
    assert {CheckState.NOT_AVAILABLE} == {one.state for one in looked}
    assert len(looked) == len({one.evidence for one in looked})


@pytest.mark.parametrize(
    ("ended", "many", "few"),
    [
        ("stop", CheckState.FAIL, CheckState.FAIL),
        ("length", CheckState.FAIL, CheckState.FAIL),
        ("tool_calls", CheckState.NOT_AVAILABLE, CheckState.NOT_AVAILABLE),
        ("sensitive", CheckState.NOT_AVAILABLE, CheckState.FAIL),
        ("network_error", CheckState.NOT_AVAILABLE, CheckState.FAIL),
        ("content_filter", CheckState.NOT_AVAILABLE, CheckState.FAIL),
        (None, CheckState.NOT_AVAILABLE, CheckState.FAIL),
    ],
)
def test_a_text_that_was_cut_may_be_worth_more_tokens(
    made: "Made", ended: str | None, many: CheckState, few: CheckState
) -> None:
    """A provider that filters it counts what it keeps, too; never fewer than what came."""
    assert many is judged(made, 900, 0, text_bytes=120, finish_reason=ended).state
    assert few is judged(made, 1, 0, text_bytes=128_000, finish_reason=ended).state


def test_an_attempt_without_counts_has_none_to_compare(made: "Made") -> None:
    """Open is not yet; refused, unsent and in doubt need no comparison."""
    states = [
        plausible(made.call(made.intent(), *rest).attempts[0]).state
        for rest in ([], [made.refusal()], [made.unsent()], [made.doubt()])
    ]
    assert [CheckState.NOT_YET, *[CheckState.NOT_NEEDED] * 3] == states


def recorded() -> list[tuple[str, int | None, dict[str, Any]]]:
    """Read the recordings: the question, the maximum that was asked for, and the answer's body."""
    named = os.environ.get("EXAI_RECORDED")
    if not named:
        pytest.skip("EXAI_RECORDED names no folder of recordings")
    lines = [json.loads(line) for line in (Path(named) / "kimi.jsonl").read_text().splitlines()]
    found = [
        (one["request"]["body"]["messages"][0]["content"], one["request"]["body"]["max_tokens"], one["body"])
        for one in lines
        if one["status"] == 200
    ]
    whole = yaml.safe_load((Path(named) / "glm-model_simple.yaml").read_text())["interactions"][0]
    streamed = yaml.safe_load((Path(named) / "glm-thinking_stream.yaml").read_text())["interactions"][0]
    return [
        *found,
        ("What is 2 + 2?", None, whole["response"]["parsed_body"]),
        ("What is 2 + 2?", None, joined(streamed["response"]["body"]["string"])),
    ]


def joined(stream: str) -> dict[str, Any]:
    """Put a stream's text and usage together as one body."""
    events = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    message = {
        name: "".join(delta.get(name) or "" for delta in deltas) for name in ("content", "reasoning_content")
    }
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": events[-1]["usage"]}


def test_every_recording_is_plausible(made: "Made") -> None:
    """The interval was made for real answers: none of them fails, and those with text pass."""
    for question, maximum, body in recorded():
        choice, counts = body["choices"][0], body["usage"]
        reasoning = counts["completion_tokens_details"]["reasoning_tokens"]
        usage = Usage(
            uncached_input_tokens=counts["prompt_tokens"],
            cached_input_tokens=0,
            cache_write_tokens=0,
            output_tokens=counts["completion_tokens"],
            reasoning_tokens=reasoning,
        )
        bound = msgspec.structs.replace(BOUND, input_tokens=input_tokens_max([question]))
        call = made.call(
            made.intent(max_output_tokens=maximum or 4096, worst_case=bound),
            made.settlement(
                usage=usage,
                text_bytes=len(choice["message"]["content"].encode()),
                reasoning_bytes=len(choice["message"]["reasoning_content"].encode()),
            ),
        )
        expected = CheckState.PASS if choice["message"]["content"] else CheckState.NOT_AVAILABLE
        assert expected == plausible(call.attempts[0]).state
