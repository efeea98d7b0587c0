"""Tests of the chat tool."""

from typing import Any

import jsonschema_rs
import pytest

import service.tools
from service.core.account import Account, Asked
from service.core.shapes import Ask, Completion, Message
from service.core.usage import Usage
from service.plugs import load
from service.proving.prover import NoProver
from service.tools.chat import PROMPT_CHARS_MAX
from service.tools.chat import TOOL as CHAT


class FixedDesk:
    """A desk that answers every ask alike and remembers what it was asked."""

    def __init__(self, text: str = "four", finish_reason: str | None = "stop") -> None:
        self.asked: list[Ask] = []
        self._text = text
        self._finish_reason = finish_reason

    async def complete(self, ask: Ask) -> Completion:
        """Answer."""
        self.asked.append(ask)
        return Completion(
            text=self._text,
            reasoning="hm",
            provider="kimi",
            model="kimi-k2.6",
            finish_reason=self._finish_reason,
            usage=Usage(
                uncached_input_tokens=12,
                cached_input_tokens=0,
                cache_write_tokens=0,
                output_tokens=16,
                reasoning_tokens=13,
            ),
        )


class NoBooks:
    """Books that nobody opens."""

    async def spending(self, asked: Asked) -> Account:
        """Fail."""
        message = f"chat asked the books: {asked}"
        raise AssertionError(message)


async def test_all_arguments_reach_the_desk() -> None:
    """The system text comes first, and every argument has its place in the ask."""
    desk, written = FixedDesk(), list[str]()
    arguments = {
        "prompt": "2 + 2?",
        "system": "Be short.",
        "provider": "kimi",
        "model": "kimi-k2.6",
        "temperature": 1,
        "max_output_tokens": 100.0,
        "thinking": False,
    }
    await CHAT.run(arguments, desk, NoBooks(), NoProver(), on_text=written.append)
    expected = Ask(
        messages=(Message("system", "Be short."), Message("user", "2 + 2?")),
        provider="kimi",
        model="kimi-k2.6",
        temperature=1,
        max_output_tokens=100,
        thinking=False,
        on_text=desk.asked[0].on_text,
    )
    assert [expected] == desk.asked
    assert type(desk.asked[0].max_output_tokens) is int


async def test_what_is_left_out_is_left_to_others() -> None:
    """With a prompt alone nothing else is decided here."""
    desk = FixedDesk()
    await CHAT.run({"prompt": "2 + 2?"}, desk, NoBooks(), NoProver(), on_text=None)
    assert [Ask(messages=(Message("user", "2 + 2?"),))] == desk.asked


@pytest.mark.parametrize(
    ("text", "finish_reason", "shown", "noted"),
    [
        ("four", "stop", "four", None),
        ("fou", "length", "fou", "The answer is cut"),
        ("", "length", "The model wrote no answer: the limit", "13 of them reasoning"),
        (" \n", "length", "The model wrote no answer: the limit", "paid"),
        ("", "sensitive", "The model ended without writing an answer (finish reason: 'sensitive')", "16 output"),
        ("", None, "The model ended without writing an answer (finish reason: none given)", "16 output"),
    ],
)
async def test_an_answer_is_never_silently_empty(
    text: str, finish_reason: str | None, shown: str, noted: str | None
) -> None:
    """The model's words are given exactly; where there are none, words say why, and that they were paid."""
    result = await CHAT.run({"prompt": "x"}, FixedDesk(text, finish_reason), NoBooks(), NoProver(), on_text=None)
    assert result.structured is not None
    assert result.text.startswith(shown)
    assert text == result.structured["text"]
    if noted is None:
        assert result.structured["note"] is None
    else:
        assert noted in result.structured["note"]
    jsonschema_rs.validate(dict(CHAT.output_schema or {}), result.structured)


@pytest.mark.parametrize(
    ("arguments", "valid"),
    [
        ({"prompt": "x"}, True),
        ({"prompt": "x", "temperature": 2, "max_output_tokens": 131072, "thinking": True}, True),
        ({"prompt": "x", "model": "glm-5.3-flash", "provider": "glm"}, True),
        ({}, False),
        ({"prompt": ""}, False),
        ({"prompt": " \n"}, False),
        ({"prompt": "x" * (PROMPT_CHARS_MAX + 1)}, False),
        ({"prompt": "x", "provider": "openai"}, False),
        ({"prompt": "x", "model": ""}, False),
        ({"prompt": "x", "model": "a b"}, False),
        ({"prompt": "x", "temperature": 2.1}, False),
        ({"prompt": "x", "max_output_tokens": 0}, False),
        ({"prompt": "x", "max_output_tokens": 1.5}, False),
        ({"prompt": "x", "max_tokens": 5}, False),
        ({"prompt": "x", "thinking": "yes"}, False),
    ],
)
def test_the_schema_says_what_may_be_asked(arguments: dict[str, Any], *, valid: bool) -> None:
    """Every argument has bounds, and a name that is not known is refused."""
    assert valid == jsonschema_rs.is_valid(dict(CHAT.input_schema), arguments)


def test_the_schemas_are_schemas() -> None:
    """Both are valid JSON Schema, and each property is described or bounded."""
    for schema in (CHAT.input_schema, CHAT.output_schema):
        jsonschema_rs.meta.validate(dict(schema or {}))
    assert all("description" in stated for stated in CHAT.input_schema["properties"].values())


def test_each_file_is_a_tool() -> None:
    """The folder is the list of tools, and each file is named after what it holds."""
    members = ("title", "description", "input_schema", "output_schema", "annotations", "run")
    assert "chat" in load(service.tools, "TOOL", *members)
