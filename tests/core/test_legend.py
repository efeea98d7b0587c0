"""Columns are what their owner says they are, or what their names let guess; never what nobody can know."""

import tomllib

import msgspec
import pytest

from service.core.legend import EXAMPLE, Columns, Legend, guessed, places_of, shown
from service.errors import StatementError


def test_the_example_is_a_legend() -> None:
    """What is printed can be read, and names every column."""
    legend = msgspec.convert(tomllib.loads(EXAMPLE), Legend)
    assert legend.columns is not None
    assert None not in msgspec.structs.astuple(legend.columns)
    assert ("CNY", "Asia/Shanghai") == (legend.meaning.currency, legend.meaning.zone)


@pytest.mark.parametrize(
    "text", ["[columns]\nid = 'x'", "[meaning]\nzones = 'UTC'", "[meaning]\ndecimal = ';'", "[more]"]
)
def test_a_misspelt_legend_is_refused(text: str) -> None:
    """An unknown word is never passed over."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(tomllib.loads(text), Legend)


def test_common_names_are_guessed() -> None:
    """Case, spaces and signs do not matter; of two that fit the first counts; what is not there is None."""
    found = guessed(["Request-ID", "TIME", "created_at", "Prompt Tokens", "输出Tokens", "费用", "Note"])
    assert (
        Columns(
            request_id="Request-ID",
            time="TIME",
            input_tokens="Prompt Tokens",
            output_tokens="输出Tokens",
            amount="费用",
        )
        == found
    )


def test_columns_are_found_by_their_names() -> None:
    """Spaces around a name are no part of it."""
    assert {"request_id": 1, "amount": 0} == places_of([" Cost ", "ID"], Columns(request_id="ID", amount="Cost "))


@pytest.mark.parametrize("header", [["ID"], ["ID", "Cost", "Cost"]])
def test_a_column_that_is_not_one_is_refused(header: list[str]) -> None:
    """It is named, with those that there are."""
    with pytest.raises(StatementError, match="'Cost'") as refused:
        places_of(header, Columns(request_id="ID", amount="Cost"))
    assert "'ID'" in refused.value.remedy


@pytest.mark.parametrize(
    "columns", [Columns(time="T", amount="A"), Columns(input_tokens="I", amount="A"), Columns()]
)
def test_who_is_meant_must_be_told(columns: Columns) -> None:
    """A time without tokens, or tokens without a time, tell no request."""
    with pytest.raises(StatementError, match="which request is meant") as refused:
        places_of(["T", "A", "I"], columns)
    assert ("--example" in refused.value.remedy, "'T', 'A', 'I'" in refused.value.remedy) == (True, True)


def test_a_strangers_text_is_short_and_escaped() -> None:
    """Nothing of it reaches a terminal as it came."""
    assert "'\\x1b[2J'" == shown("\x1b[2J")
    assert 43 == len(shown("x" * 1000))
