"""The recordings of real traffic, where the environment says they are, and a reader for each provider."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.core.shapes import Answer, Ask, Message, Provider
from service.providers.glm import PROVIDER as GLM
from service.providers.kimi import PROVIDER as KIMI

PROVIDERS = {"kimi": KIMI, "glm": GLM}


@pytest.fixture(params=sorted(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Provider:
    """Each provider in turn."""
    return PROVIDERS[request.param]


@pytest.fixture
def question() -> Ask:
    """The smallest thing one can ask."""
    return Ask(messages=(Message("user", "2 + 2?"),))


def _folder() -> Path:
    named = os.environ.get("EXAI_RECORDED")
    if not named:
        pytest.skip("EXAI_RECORDED names no folder of recordings")
    return Path(named)


@pytest.fixture
def kimi_recordings() -> list[dict[str, Any]]:
    """Recorded Kimi answers: status, headers and body, as JSON values."""
    return [json.loads(line) for line in (_folder() / "kimi.jsonl").read_text().splitlines()]


@pytest.fixture
def glm_recorded_body() -> bytes:
    """A recorded whole GLM answer."""
    return json.dumps(_glm("glm-model_simple.yaml")["parsed_body"]).encode()


@pytest.fixture
def glm_recorded_stream() -> bytes:
    """A recorded GLM stream."""
    text: str = _glm("glm-thinking_stream.yaml")["body"]["string"]
    return text.encode()


def _glm(file: str) -> dict[str, Any]:
    cassette = yaml.safe_load((_folder() / file).read_text())
    response: dict[str, Any] = cassette["interactions"][0]["response"]
    return response


class Reading:
    """What a reader said: the pieces on the way and the answer."""

    def __init__(self, provider: Provider, *chunks: bytes, stream: bool = True) -> None:
        reader = provider.reader(stream=stream)
        self.pieces = [piece for chunk in chunks for piece in reader.feed(chunk)]
        self.answer: Answer = reader.finish()


@pytest.fixture
def reading() -> type[Reading]:
    """Read a body, given in chunks."""
    return Reading
