"""Admission: what must hold before a tool call begins. What fails here leaves no entry."""

from collections.abc import Callable, Mapping
from typing import Any

import jsonschema_rs
import msgspec

from service.core.entries import ToolCallEntry
from service.core.evidence import SALT_BYTES, commitment
from service.core.redact import redacted
from service.core.shapes import Tool
from service.core.trace import parse_traceparent
from service.errors import InvalidArgumentsError, PlugError, UnauthorizedError
from service.mcp.events import CallTool
from service.serving.auth import CALL, Caller

_ID_BYTES = 16
_REQUEST_ID_CHARS_MAX = 64
_COMPLAINT_CHARS_MAX = 200


class Admission:
    """Judges calls before they begin.

    Args:
        tools: by name.
        entropy: gives that many unpredictable bytes.

    Raises:
        PlugError: a tool's input schema is no JSON Schema 2020-12.
    """

    def __init__(self, tools: Mapping[str, Tool], *, entropy: Callable[[int], bytes]) -> None:
        self._tools = dict(tools)
        self._entropy = entropy
        self._schemas = {name: _validator(tool) for name, tool in tools.items()}

    def tool(self, call: CallTool, caller: Caller) -> Tool:
        """Find the tool, if this caller may call it with these arguments.

        Raises:
            UnauthorizedError: the caller's token may not make calls.
            InvalidArgumentsError: the arguments do not fit the tool's schema.
        """
        if CALL not in caller.scopes:
            raise UnauthorizedError(
                f"the token of {caller.name} may not call tools",
                remedy=f"Use a token with the scope {CALL}.",
            )
        try:
            complaint = next(self._schemas[call.name].iter_errors(call.arguments), None)
        except (ValueError, OverflowError) as error:
            raise InvalidArgumentsError(
                f"the arguments of {call.name} hold what no schema can judge",
                remedy="Send whole Unicode characters and numbers of usual size. Nothing was sent to a provider.",
            ) from error
        if complaint is not None:
            where = "/".join(map(str, complaint.instance_path)) or "the arguments"
            said = redacted(complaint.message, chars_max=_COMPLAINT_CHARS_MAX)
            raise InvalidArgumentsError(
                f"{redacted(where, chars_max=_REQUEST_ID_CHARS_MAX)} of {call.name}: {said}",
                remedy="See the tool's inputSchema in tools/list. Nothing was sent to a provider.",
            )
        return self._tools[call.name]

    def opened(
        self, call: CallTool, caller: Caller, *, session: str, transport: str, protocol: str
    ) -> tuple[ToolCallEntry, bytes]:
        """Write the call's first entry, and give the salt of all that the call commits to."""
        parent = parse_traceparent(call.meta.get("traceparent"))
        salt = self._entropy(SALT_BYTES)
        entry = ToolCallEntry(
            tool_call_id=self._entropy(_ID_BYTES).hex(),
            client=caller.name,
            session=session,
            transport=transport,
            protocol=protocol,
            request_id=redacted(str(call.request_id), chars_max=_REQUEST_ID_CHARS_MAX),
            tool=call.name,
            arguments=commitment(salt, msgspec.json.encode(call.arguments)),
            trace_id=parent.trace_id if parent else self._entropy(_ID_BYTES).hex(),
            parent_span_id=parent.span_id if parent else None,
            parent_sampled=parent.sampled if parent else None,
            needs_model=self._tools[call.name].needs_model,
        )
        return entry, salt


def _validator(tool: Tool) -> Any:  # noqa: ANN401 - the library's validator has no public base type
    try:
        return jsonschema_rs.Draft202012Validator(dict(tool.input_schema))
    except (ValueError, jsonschema_rs.ValidationError) as error:
        raise PlugError(f"the input schema of the tool {tool.name} is no JSON Schema: {error}") from error
