"""Admission: what must hold before a call begins, and what its first entry says."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest

from service.core.evidence import commitment
from service.core.shapes import Books, Desk, Prover, ToolResult
from service.errors import InvalidArgumentsError, PlugError, UnauthorizedError
from service.mcp.events import CallTool
from service.serving.admission import Admission
from service.serving.auth import DEFAULT, Caller
from service.tools.chat import TOOL as CHAT
from service.tools.usage import TOOL as USAGE

READER = Caller("reader", frozenset(("read",)), sees_all=True)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class BadSchema:
    """A tool whose input schema is none."""

    name = "bad"
    title = description = "Bad"
    input_schema: Mapping[str, Any] = {"type": "no such type"}
    output_schema: Mapping[str, Any] | None = None
    annotations: Mapping[str, bool] = {}
    needs_model = False

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,
        books: Books,
        prover: Prover,
        *,
        on_text: Callable[[str], None] | None,
    ) -> ToolResult:
        """Never run."""
        raise NotImplementedError


def call(arguments: dict[str, Any], **changed: Any) -> CallTool:  # noqa: ANN401 - any field of a call
    """Call chat."""
    made = CallTool(request_id=7, name="chat", arguments=arguments, meta={}, progress_token=None, wants_text=False)
    return msgspec.structs.replace(made, **changed)


@pytest.fixture
def admission() -> Admission:
    """Admit calls of chat."""
    return Admission({"chat": CHAT}, entropy=secrets.token_bytes)


def test_admitted(admission: Admission) -> None:
    """Arguments that fit the schema find the tool."""
    assert CHAT is admission.tool(call({"prompt": "hi"}), DEFAULT)


def test_scope(admission: Admission) -> None:
    """A token that may only read calls nothing, whatever the arguments."""
    with pytest.raises(UnauthorizedError) as caught:
        admission.tool(call({}), READER)
    assert "call" in caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({}, "the arguments"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "x", "temperature": 3}, "temperature"),
        ({"prompt": "x", "unknown": 1}, "the arguments"),
        ({"prompt": "x", "max_output_tokens": 10**40}, "max_output_tokens"),
        ({"prompt": "\ud800"}, "the arguments"),
    ],
)
def test_arguments_that_do_not_fit(admission: Admission, arguments: dict[str, Any], where: str) -> None:
    """What does not fit is named by its place; the sentence is bounded whatever the value."""
    with pytest.raises(InvalidArgumentsError) as caught:
        admission.tool(call(arguments), DEFAULT)
    assert caught.value.message.startswith(where)
    assert caught.value.remedy.endswith("Nothing was sent to a provider.")


def test_complaint_is_bounded(admission: Admission) -> None:
    """A huge or hostile value comes back cut, and without control characters."""
    with pytest.raises(InvalidArgumentsError) as caught:
        admission.tool(call({"prompt": "x", "model": "\x1b[31m" + "y" * 100_000}), DEFAULT)
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_first_entry(admission: Admission) -> None:
    """The entry names client, session and transport, and commits to the arguments without showing them."""
    arguments = {"prompt": "a secret question"}
    entry, salt = admission.opened(
        call(arguments, meta={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}),
        DEFAULT,
        session="s-1",
        transport="http",
        protocol="2025-11-25",
    )
    assert commitment(salt, msgspec.json.encode(arguments)) == entry.arguments
    assert ("default", "s-1", "http", "7", "chat") == (
        entry.client,
        entry.session,
        entry.transport,
        entry.request_id,
        entry.tool,
    )
    assert (TRACE, "00f067aa0ba902b7", False) == (entry.trace_id, entry.parent_span_id, entry.parent_sampled)
    assert "secret" not in repr(entry)
    assert salt.hex() not in repr(entry)


def test_what_only_a_model_answers_is_told() -> None:
    """Its first entry says so, that an answer without a request may be found out."""
    admission = Admission({"chat": CHAT, "usage": USAGE}, entropy=secrets.token_bytes)
    told = [
        admission.opened(call({}, name=name), DEFAULT, session="s", transport="http", protocol="p")[0].needs_model
        for name in ("chat", "usage")
    ]
    assert [True, False] == told


@pytest.mark.parametrize("traceparent", [None, 5, "", f"00-{'0' * 32}-00f067aa0ba902b7-01", "x" * 10_000])
def test_own_trace_id(admission: Admission, traceparent: object) -> None:
    """Without a valid trace parent the trace id is our own, random each time."""
    made = call({"prompt": "x"}, meta={"traceparent": traceparent})
    entries = [admission.opened(made, DEFAULT, session="s", transport="http", protocol="p")[0] for _ in range(2)]
    assert [None, None] == [entry.parent_span_id for entry in entries]
    assert 2 == len({entry.trace_id for entry in entries}) == len({entry.tool_call_id for entry in entries})
    assert {32} == {len(entry.trace_id) for entry in entries}


def test_request_id_is_bounded(admission: Admission) -> None:
    """A client's request id is cut and cleaned before it is written down."""
    made = call({"prompt": "x"}, request_id="\n" + "r" * 5000)
    entry, _ = admission.opened(made, DEFAULT, session="s", transport="http", protocol="p")
    assert len(entry.request_id) <= 64
    assert entry.request_id.isprintable()


def test_bad_schema() -> None:
    """A tool whose schema is none stops the start and is named."""
    with pytest.raises(PlugError, match="bad"):
        Admission({"bad": BadSchema()}, entropy=secrets.token_bytes)
