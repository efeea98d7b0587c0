"""The shapes are plain values and contracts; nothing in them runs."""

import inspect

import pytest

from service.core import shapes
from service.core.shapes import Answer, Ask, Message

CONTRACTS = [shapes.AnswerReader, shapes.Provider, shapes.Desk, shapes.Tool, shapes.Clock, shapes.Listener]


def test_an_ask_leaves_what_is_not_said_to_others() -> None:
    """None means that the desk or the provider chooses."""
    ask = Ask(messages=(Message("user", "hello"),))
    assert (
        ask.provider,
        ask.model,
        ask.temperature,
        ask.max_output_tokens,
        ask.thinking,
        ask.on_text,
    ) == (None,) * 6


def test_an_answer_is_incomplete_until_it_is_read_to_its_end() -> None:
    """Nothing is assumed of a body that was cut: no usage, no ids, not complete."""
    answer = Answer()
    assert (
        answer.complete,
        answer.readable,
        answer.usage,
        answer.provider_ids,
        answer.refusal,
    ) == (False, True, None, {}, None)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_deed_of_a_contract_says_what_it_must_do(contract: type) -> None:
    """A contract is prose first: no method without it."""
    deeds = {name: deed for name, deed in vars(contract).items() if inspect.isfunction(deed) and name[0] != "_"}
    assert deeds
    assert [name for name, deed in deeds.items() if not inspect.getdoc(deed)] == []
