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


def verdict_text(word: str, code: str, sentence: str, *, simulated: bool) -> str:
    """Write a verdict in one line: the mark once and first; the sentence as it is: it may begin with a name."""
    return f"{SIMULATED if simulated else ''}{word} ({code}): {sentence.removeprefix(SIMULATED)}"


def object_schema(kind: type[msgspec.Struct]) -> Mapping[str, Any]:
    """Write the JSON Schema of what a struct becomes: an object at its top, as MCP demands."""
    (of,), parts = msgspec.json.schema_components((kind,), ref_template="#/$defs/{name}")
    name = of["$ref"].rpartition("/")[2]
    return {**parts.pop(name), "$defs": parts}
