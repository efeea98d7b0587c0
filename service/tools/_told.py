"""What tools tell, structured: a struct as plain JSON, and the JSON Schema of what it becomes."""

from collections.abc import Mapping
from typing import Any

import msgspec

SIMULATED = "SIMULATED: "
"""What a sentence begins with where no real provider was asked."""


def told(struct: msgspec.Struct) -> dict[str, Any]:
    """Give a struct as plain JSON."""
    plain: dict[str, Any] = msgspec.to_builtins(struct)
    return plain


def unmarked(sentence: str) -> str:
    """Give a verdict's sentence as it stands after another one: without the mark, and begun with a capital."""
    plain = sentence.removeprefix(SIMULATED)
    return plain[:1].upper() + plain[1:]


def object_schema(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Write the JSON Schema of what a struct becomes: an object at its top, as MCP demands."""
    (of,), parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    name = of["$ref"].rpartition("/")[2]
    return {**parts.pop(name), "$defs": parts}
