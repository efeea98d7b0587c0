"""Simulated answers have the shape of recorded ones: the same keys, in the same order, of the same types."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

Talk = Any  # of conftest.py: test folders are no packages, so its classes cannot be imported

RECORDED = os.environ.get("EXAI_RECORDED")
pytestmark = pytest.mark.skipif(RECORDED is None, reason="EXAI_RECORDED names no folder of recordings")


def recorded(name: str) -> str:
    """Read a recording."""
    return (Path(str(RECORDED)) / name).read_text()


def kimi_records() -> list[Any]:
    """The recorded Kimi exchanges: a miss cut by its limit, a hit, a refusal."""
    return [json.loads(line) for line in recorded("kimi.jsonl").splitlines()]


def glm_exchange(name: str) -> Any:  # noqa: ANN401 - YAML of any shape
    """One recorded GLM exchange."""
    return yaml.safe_load(recorded(name))["interactions"][0]


def shape(value: object) -> object:
    """Reduce a value to its keys, in order, and its types."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


def names(headers: object) -> list[str]:
    """Header names in order, without those of the connection itself and the simulator's mark."""
    own = {"connection", "exai-simulator", "transfer-encoding", "content-length"}
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [name.lower() for name, _ in pairs if name.lower() not in own]  # type: ignore[attr-defined] # pairs


async def test_kimi_answers_are_shaped_as_recorded(talk: Talk) -> None:
    """Replaying the three recorded requests gives status, headers and bodies of the same shape."""
    for record in kimi_records():
        reply = await talk.ask("POST", "/v1/chat/completions", record["request"]["body"])

        assert record["status"] == reply.status
        assert shape(record["body"]) == shape(reply.json)
        assert names(record["headers"]) == names(reply.headers)


async def test_kimis_refusal_is_the_recorded_one_byte_for_byte(talk: Talk) -> None:
    """The temperature error has the same length and the same words."""
    record = kimi_records()[2]
    reply = await talk.ask("POST", "/v1/chat/completions", record["request"]["body"])

    assert record["body"] == reply.json
    assert record["headers"]["Content-Length"] == str(len(reply.body))


async def test_a_small_limit_is_metered_as_recorded(talk: Talk) -> None:
    """16 tokens allowed: 13 of reasoning, 16 in all, and the finish is `length`."""
    record = kimi_records()[0]
    reply = await talk.ask("POST", "/v1/chat/completions", record["request"]["body"])
    expected, actual = record["body"]["usage"], reply.json["usage"]

    assert expected["completion_tokens"] == actual["completion_tokens"]
    assert expected["completion_tokens_details"] == actual["completion_tokens_details"]
    assert record["body"]["choices"][0]["finish_reason"] == reply.json["choices"][0]["finish_reason"]
    assert abs(expected["prompt_tokens"] - actual["prompt_tokens"]) < 10


async def test_a_glm_answer_is_shaped_as_recorded(talk: Talk) -> None:
    """The same keys in the same order."""
    exchange = glm_exchange("glm-model_simple.yaml")
    reply = await talk.ask("POST", "/api/paas/v4/chat/completions", exchange["request"]["parsed_body"])

    assert shape(exchange["response"]["parsed_body"]) == shape(reply.json)
    assert exchange["response"]["headers"]["content-type"] == [reply.header["Content-Type"]]
    assert exchange["response"]["parsed_body"]["usage"]["prompt_tokens"] == pytest.approx(
        reply.json["usage"]["prompt_tokens"], abs=5
    )


async def test_a_glm_stream_is_shaped_as_recorded(talk: Talk) -> None:
    """The first, the first with text, and the last chunk are shaped alike; so is the content type."""
    exchange = glm_exchange("glm-thinking_stream.yaml")
    lines = [line.removeprefix("data: ") for line in exchange["response"]["body"]["string"].split("\n\n") if line]
    reply = await talk.ask("POST", "/api/paas/v4/chat/completions", exchange["request"]["parsed_body"])

    assert "[DONE]" == lines[-1] == reply.lines[-1]
    expected = [json.loads(line) for line in lines[:-1]]
    assert {json.dumps(shape(chunk)) for chunk in expected} == {json.dumps(shape(chunk)) for chunk in reply.chunks}
    assert shape(expected[-1]) == shape(reply.chunks[-1])
    assert exchange["response"]["headers"]["content-type"] == [reply.header["Content-Type"]]
