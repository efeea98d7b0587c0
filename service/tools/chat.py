"""The chat tool: one question to one model, answered with what it cost to know."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from service.core.shapes import Ask, Books, Completion, Desk, Message, Prover, Tool, ToolResult
from service.core.usage import Usage

PROMPT_CHARS_MAX = 1_000_000  # Kimi refuses requests above 4 MiB; a character may be 4 bytes
SYSTEM_CHARS_MAX = 100_000
MODEL_CHARS_MAX = 100
OUTPUT_TOKENS_MAX = 131_072
TEMPERATURE_MAX = 2

_INPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "maxLength": PROMPT_CHARS_MAX,
            "pattern": r"\S",
            "description": "What to ask.",
        },
        "system": {
            "type": "string",
            "minLength": 1,
            "maxLength": SYSTEM_CHARS_MAX,
            "description": "Instructions that stand before the prompt.",
        },
        "provider": {
            "type": "string",
            "enum": ["kimi", "glm"],
            "description": "Whom to ask; left out, the model's name or the configuration decides.",
        },
        "model": {
            "type": "string",
            "maxLength": MODEL_CHARS_MAX,
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._:/-]*$",
            "description": "The provider's own name of a model; left out, the provider's default.",
        },
        "temperature": {
            "type": "number",
            "minimum": 0,
            "maximum": TEMPERATURE_MAX,
            "description": "Randomness. Many models pin theirs and refuse any other value.",
        },
        "max_output_tokens": {
            "type": "integer",
            "minimum": 1,
            "maximum": OUTPUT_TOKENS_MAX,
            "description": "Upper limit of the output, reasoning included; what it cuts off is paid all the same.",
        },
        "thinking": {
            "type": "boolean",
            "description": "Whether the model may reason before it answers; left out, the model's own way.",
        },
    },
    "required": ["prompt"],
    "additionalProperties": False,
}

_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
_OUTPUT_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "description": "The model's own words, exactly."},
        "provider": {"type": "string"},
        "model": {
            "type": "string",
            "description": "The model that answered, as it says itself, else the one asked.",
        },
        "finish_reason": {"type": ["string", "null"], "description": "Why it stopped, in the provider's word."},
        "note": {"type": ["string", "null"], "description": "What to know about a text that is cut or empty."},
        "usage": {
            "type": "object",
            "description": "Tokens as the provider metered them. Reasoning is a part of output.",
            "properties": dict.fromkeys(Usage.__struct_fields__, _COUNT),
            "required": list(Usage.__struct_fields__),
            "additionalProperties": False,
        },
    },
    "required": ["text", "provider", "model", "finish_reason", "note", "usage"],
    "additionalProperties": False,
}


class Chat:
    """The tool `chat`: system and prompt go out, the answer and its usage come back."""

    name = "chat"
    title = "Ask a model"
    description = (
        "Asks a Kimi or GLM model one question and returns its answer with the tokens the provider metered."
        " Every call is sent to the provider and spends credit there, unless the model is free."
    )
    input_schema = _INPUT_SCHEMA
    output_schema: Mapping[str, Any] | None = _OUTPUT_SCHEMA
    annotations: Mapping[str, bool] = {
        "readOnlyHint": True,
        "destructiveHint": False,
        "idempotentHint": False,
        "openWorldHint": True,
    }
    needs_model = True

    async def run(
        self,
        arguments: Mapping[str, Any],
        desk: Desk,
        books: Books,  # noqa: ARG002 - the shape of a tool
        prover: Prover,  # noqa: ARG002 - as above
        *,
        on_text: Callable[[str], None] | None,
    ) -> ToolResult:
        """Ask, and answer with the model's words; in place of an empty answer, say why it is empty."""
        completion = await desk.complete(_ask(arguments, on_text))
        note = _note(completion)
        return ToolResult(
            text=completion.text if completion.text.strip() or note is None else note,
            structured={
                "text": completion.text,
                "provider": completion.provider,
                "model": completion.model,
                "finish_reason": completion.finish_reason,
                "note": note,
                "usage": msgspec.structs.asdict(completion.usage),
            },
        )


def _ask(arguments: Mapping[str, Any], on_text: Callable[[str], None] | None) -> Ask:
    messages = [Message("user", arguments["prompt"])]
    if "system" in arguments:
        messages.insert(0, Message("system", arguments["system"]))
    return Ask(
        messages=tuple(messages),
        provider=arguments.get("provider"),
        model=arguments.get("model"),
        temperature=arguments.get("temperature"),
        max_output_tokens=_whole(arguments.get("max_output_tokens")),
        thinking=arguments.get("thinking"),
        on_text=on_text,
    )


def _whole(number: float | None) -> int | None:
    """Take 100.0 as 100: to JSON Schema both are integers."""
    return None if number is None else int(number)


def _note(completion: Completion) -> str | None:
    """Say what is odd about an answer; None when nothing is."""
    usage = completion.usage
    spent = f"{usage.output_tokens} output tokens were metered, {usage.reasoning_tokens} of them reasoning"
    cut = completion.finish_reason == "length"
    if completion.text.strip():
        return f"The answer is cut: the limit on output tokens was reached ({spent})." if cut else None
    if cut:
        return (
            "The model wrote no answer: the limit on output tokens was reached while it was still reasoning."
            f" {spent}, and they are paid. Ask with a higher max_output_tokens, or with thinking off."
        )
    reason = repr(completion.finish_reason) if completion.finish_reason else "none given"
    return f"The model ended without writing an answer (finish reason: {reason}). {spent}."


TOOL: Tool = Chat()

if TYPE_CHECKING:
    _: type[Tool] = Chat
