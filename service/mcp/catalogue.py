"""The catalogue: the tools on offer, checked at the start and rendered once for every protocol."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import mcp_types
import mcp_types.methods
import msgspec
from pydantic import ValidationError

from service.core.shapes import Tool
from service.errors import PlugError
from service.mcp.frames import dump

REVISIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""The MCP revisions spoken, newest first."""

FAILURE: Mapping[str, Any] = {
    "type": "object",
    "description": "Why the call failed, beside isError; the tool's own result is absent then.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "retryable": {"type": "boolean"},
                "remedy": {"type": "string"},
            },
            "required": ["code", "message", "retryable", "remedy"],
        }
    },
    "required": ["error"],
}
"""What `structuredContent` holds when a call fails.

Every output schema must allow it: the protocol's TypeScript client holds failures to the schema too, and
throws a result away that does not fit, receipt and all.
"""

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""Source: modelcontextprotocol.io/specification/2025-11-25/server/tools, "Tool Names"."""

_OLDEST = ("name", "description", "inputSchema")
_FIELDS = {
    "2024-11-05": frozenset(_OLDEST),
    "2025-03-26": frozenset((*_OLDEST, "annotations")),
    "2025-06-18": frozenset((*_OLDEST, "annotations", "title", "outputSchema", "_meta")),
    "2025-11-25": frozenset((*_OLDEST, "annotations", "title", "outputSchema", "_meta", "icons", "execution")),
}


class Catalogue(msgspec.Struct, frozen=True):
    """The tools on offer, by name, with the bytes that list them."""

    names: frozenset[str]
    results: dict[str, bytes]
    """The result of `tools/list` for each MCP revision."""
    predecessor_tools: bytes
    """The array `tools` of the predecessor's `list_tools_res`."""


def build_catalogue(definitions: Iterable[Mapping[str, Any]]) -> Catalogue:
    """Check tool definitions (in the protocol's own spelling: `inputSchema`, …) and render them.

    They are listed by name, so that the order never depends on how they were found.

    Raises:
        PlugError: a definition breaks the protocol's rules, or a name comes twice.
    """
    tools: dict[str, dict[str, Any]] = {}
    for definition in definitions:
        tool = _check(definition)
        if tool["name"] in tools:
            raise PlugError(f"tool {tool['name']!r}: the name is taken by another tool")
        tools[tool["name"]] = tool
    ordered = [tools[name] for name in sorted(tools)]
    return Catalogue(
        names=frozenset(tools),
        results={revision: dump({"tools": _only(ordered, _FIELDS[revision])}) for revision in REVISIONS},
        predecessor_tools=dump(_only(ordered, frozenset(_OLDEST))),
    )


def _check(definition: Mapping[str, Any]) -> dict[str, Any]:
    name = definition.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise PlugError(f"tool {name!r}: a name is 1 to 128 of A-Z a-z 0-9 _ - .")
    unknown = definition.keys() - _FIELDS[REVISIONS[0]]
    if unknown:
        raise PlugError(f"tool {name!r}: unknown fields {sorted(unknown)}")
    try:
        tool = mcp_types.Tool.model_validate(dict(definition), by_name=False)
        rendered = tool.model_dump(by_alias=True, mode="json", exclude_none=True)
        mcp_types.methods.validate_server_result("tools/list", REVISIONS[0], {"tools": [rendered]})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise PlugError(f"tool {name!r}: {faults}") from None
    return rendered


def _only(tools: list[dict[str, Any]], fields: frozenset[str]) -> list[dict[str, Any]]:
    return [{key: value for key, value in tool.items() if key in fields} for tool in tools]


def catalogue_of(tools: Iterable[Tool]) -> Catalogue:
    """Describe the tools as MCP spells it.

    Raises:
        PlugError: a description breaks the protocol's rules.
    """
    return build_catalogue(_definition(tool) for tool in tools)


def _definition(tool: Tool) -> dict[str, Any]:
    definition: dict[str, Any] = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": dict(tool.input_schema),
        "annotations": dict(tool.annotations),
    }
    if tool.output_schema is not None:
        definition["outputSchema"] = _or_failure(tool.output_schema)
    return definition


def _or_failure(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Allow a result or a failure.

    `#/$defs/…` is read from the top of what is served, so the definitions must stand there; those of a schema with
    an `$id` are read from its own top, and stay.
    """
    if "$id" in schema:
        return {"type": "object", "anyOf": [dict(schema), FAILURE]}
    result = {word: said for word, said in schema.items() if word != "$defs"}
    defined = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {"type": "object", "anyOf": [result, FAILURE], **defined}
