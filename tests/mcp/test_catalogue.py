"""The catalogue lists what is offered, and refuses what is malformed."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped] # the judge of `mcp` 1.x clients, which brings no types
import jsonschema_rs
import mcp_types.methods
import pytest

from service.core.usage import Usage
from service.equipment import load_tools
from service.errors import PlugError
from service.mcp.catalogue import REVISIONS, Catalogue, build_catalogue, catalogue_of
from service.mcp.events import ToolFault, ToolReply
from service.mcp.results import render_reply
from service.tools.chat import TOOL

GOOD: dict[str, Any] = {"name": "chat", "description": "Ask.", "inputSchema": {"type": "object"}}


def test_every_listing_is_valid_in_its_revision(catalogue: Catalogue) -> None:
    """The official validators accept the listing of each revision without dropping anything."""
    for revision in REVISIONS:
        listed = json.loads(catalogue.results[revision])
        assert listed == mcp_types.methods.serialize_server_result("tools/list", revision, listed)


def test_tools_are_listed_by_name(catalogue: Catalogue) -> None:
    """The order of a listing does not depend on the order of discovery."""
    names = [tool["name"] for tool in json.loads(catalogue.results["2025-11-25"])["tools"]]
    assert names == ["chat", "status"]


@pytest.mark.parametrize(
    ("revision", "fields"),
    [
        ("2024-11-05", set()),
        ("2025-03-26", {"annotations"}),
        ("2025-06-18", {"annotations", "title", "outputSchema", "_meta"}),
        ("2025-11-25", {"annotations", "title", "outputSchema", "_meta", "icons"}),
    ],
)
def test_a_revision_lists_only_its_own_fields(catalogue: Catalogue, revision: str, fields: set[str]) -> None:
    """A field is told only to the revisions that know it."""
    chat = json.loads(catalogue.results[revision])["tools"][0]
    assert fields | {"name", "description", "inputSchema"} == set(chat)


def test_the_predecessor_lists_three_fields(catalogue: Catalogue) -> None:
    """The predecessor's clients get name, description and inputSchema."""
    for tool in json.loads(catalogue.predecessor_tools):
        assert list(tool) == ["name", "description", "inputSchema"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "two words"}, "two words"),
        ({"name": ""}, "''"),
        ({"name": "x" * 129}, "xxx"),
        ({"name": None}, "None"),
        ({"inputSchema": None}, "'chat'"),
        ({"inputSchema": {"type": "array"}}, "type"),
        ({"description": 7}, "description"),
        ({"annotations": {"readOnlyHint": "maybe so"}}, "readOnlyHint"),
        ({"input_schema": {"type": "object"}}, "input_schema"),
    ],
)
def test_a_malformed_tool_names_itself(change: dict[str, Any], named: str) -> None:
    """A definition that breaks a rule stops the start, and the message names tool and fault."""
    with pytest.raises(PlugError, match=named):
        build_catalogue([GOOD | change])


def test_a_name_belongs_to_one_tool() -> None:
    """Two tools of the same name stop the start."""
    with pytest.raises(PlugError, match=r"'chat'.*taken"):
        build_catalogue([GOOD, GOOD])


def test_an_output_schema_allows_a_failure_and_nothing_else_beside_the_result() -> None:
    """A client that holds structured content to the schema keeps our errors; a half of either is no result."""
    (listed,) = json.loads(catalogue_of([TOOL]).results["2025-11-25"])["tools"]
    fits = jsonschema_rs.Draft202012Validator(listed["outputSchema"]).is_valid
    fault = ToolFault(code="no_wallet", message="No key.", retryable=False, remedy="Set one.")
    frame = render_reply(1, ToolReply(is_error=True, error=fault))
    assert fits(json.loads(frame)["result"]["structuredContent"])
    said = {"text": "hi", "provider": "kimi", "model": "m", "finish_reason": "stop", "note": None}
    result = {**said, "usage": dict.fromkeys(Usage.__struct_fields__, 1)}
    assert fits(result)
    assert not fits({})
    assert not fits({"text": "hi"})
    assert not fits({"error": {"code": "no_wallet"}})


@pytest.mark.parametrize("name", load_tools())
def test_every_reference_of_an_output_schema_resolves(name: str) -> None:
    """A client judges an answer after its money was spent: a schema that cannot be read would lose it then."""
    (listed,) = json.loads(catalogue_of([load_tools()[name]]).results["2025-11-25"])["tools"]
    schema = listed["outputSchema"]
    jsonschema_rs.Draft202012Validator(schema)  # it resolves all references, used or not
    fault = {"code": "no_wallet", "message": "No key.", "retryable": False, "remedy": "Set one."}
    jsonschema.validate({"error": fault}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"wallets": [{}], "opening": {}, "verdict": {}, "attempts": [{}]}, schema)
