"""Text and tokens: what the simulated models say, and how it is counted. Everything follows from the request.

A token is up to six letters with the blanks before them, so one streamed chunk of plain words is one token.
`sim:words=N` in the last user message asks for an answer of exactly N words, `sim:reasoning=N` for N words of
thought.
"""

import re
from dataclasses import dataclass

import msgspec

from service.simulator.asked import Asked, Message
from service.simulator.shapes import Usage

WORDS_MAX = 50_000
_EXCERPT_LETTERS = 120
_PIECE = re.compile(r"\s*\S{1,6}|\s+")
_ORDER = re.compile(r"sim:(words|reasoning)=(\d{1,5})")
_THOUGHT = "The user wants an answer. This is a simulator, so the answer repeats the question."


@dataclass(frozen=True, slots=True)
class Work:
    """What the model did: the pieces it would stream, why it stopped, and what that used."""

    reasoning: tuple[str, ...]
    content: tuple[str, ...]
    finish: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Template:
    """Tokens a provider adds around the words."""

    prompt: int
    completion: int


def count_piece(piece: str) -> int:
    """Count the tokens of one piece: one for every eight UTF-8 bytes begun."""
    return -(-len(piece.encode()) // 8)


def count_prompt(messages: list[Message], template: Template) -> int:
    """Count input tokens: a quarter of the content's UTF-8 bytes, rounded up, and the template."""
    return -(-sum(message.content_bytes() for message in messages) // 4) + template.prompt


def _orders(question: str) -> dict[str, int]:
    return {what: min(int(count), WORDS_MAX) for what, count in _ORDER.findall(question)}


def _words(count: int) -> str:
    return " ".join(f"w{number}" for number in range(1, count + 1))


def answer_to(question: str, *, as_json: bool = False) -> str:
    """Say what every simulated model answers to this last user message."""
    words = _orders(question).get("words")
    excerpt = " ".join(question.split())[:_EXCERPT_LETTERS]
    answer = f"Simulated answer to: {excerpt}" if words is None else _words(words)
    return msgspec.json.encode({"answer": answer}).decode() if as_json else answer


def thought_on(question: str) -> str:
    """Say what every simulated model thinks first."""
    words = _orders(question).get("reasoning")
    return _THOUGHT if words is None else _words(words)


def _take(text: str, budget: int) -> tuple[tuple[str, ...], int, bool]:
    """Cut text into pieces within a token budget: the pieces, their tokens, whether all fitted."""
    pieces: list[str] = []
    used = 0
    for piece in _PIECE.findall(text):
        tokens = count_piece(piece)
        if used + tokens > budget:
            return tuple(pieces), used, False
        pieces.append(piece)
        used += tokens
    return tuple(pieces), used, True


def perform(asked: Asked, template: Template, *, prompt: int, cached: int, thinks: bool, limit: int) -> Work:
    """Do the model's work: think, answer, and stop at `limit` output tokens (finish `length`)."""
    question = asked.last_user_text()
    budget = max(limit - template.completion, 0)
    reasoning, reasoned, whole = _take(thought_on(question), budget) if thinks else ((), 0, True)
    content: tuple[str, ...] = ()
    answered = 0
    if whole:
        content, answered, whole = _take(answer_to(question, as_json=asked.wants_json()), budget - reasoned)
    completion = min(reasoned + answered + template.completion, limit) if whole else limit
    usage = Usage(prompt, cached, completion, reasoned, prompt + completion)
    return Work(reasoning, content, "stop" if whole else "length", usage)
