"""Equal values have equal bytes, and an independent encoder agrees on every byte."""

import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from service.core.canonical import (
    DEPTH_MAX,
    INTEGER_MAX,
    NotCanonicalError,
    canonical,
    canonical_struct,
    is_canonical,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@given(VALUES)
def test_an_independent_encoder_agrees(value: object) -> None:
    """Whatever an entry can hold is written as RFC 8785 writes it."""
    assert rfc8785.dumps(value) == canonical(value)  # type: ignore[arg-type] # it names its JSON types; ours is any


@given(VALUES)
def test_canonical_bytes_are_known_as_such(value: object) -> None:
    """What was written is canonical, and the same text with spaces is not."""
    written = canonical(value)
    assert is_canonical(written)
    assert not is_canonical(b" " + written)


@given(st.dictionaries(KEYS, SCALARS, min_size=2, max_size=6))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    """An object's bytes depend on its members alone."""
    assert canonical(value) == canonical(dict(reversed(value.items())))


def test_a_tuple_is_a_list() -> None:
    """Structs hold tuples; JSON has one kind of list."""
    assert canonical({"a": (1, "x", ())}) == b'{"a":[1,"x",[]]}'


def nested(depth: int) -> list[Any]:
    """Nest empty lists."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (0.5, "a float has no canonical form"),
        ([float("nan")], "a float has no canonical form"),
        ({"a": 2**53}, r"2\^53"),
        ({"a": -(2**53)}, r"2\^53"),
        ({"é": 1}, "is not ASCII"),
        ({1: 1}, "is not ASCII"),
        (["\ud800"], "surrogate"),
        (b"bytes", "a bytes has no canonical form"),
        (nested(DEPTH_MAX + 1), "nested deeper"),
        (nested(5000), "nested deeper"),
    ],
)
def test_what_has_no_place_in_an_entry_is_refused(value: object, why: str) -> None:
    """A value that two programs might write in two ways is not written at all."""
    with pytest.raises(NotCanonicalError, match=why):
        canonical(value)


def test_the_deepest_nesting_is_written() -> None:
    """The limit itself is allowed."""
    assert is_canonical(canonical(nested(DEPTH_MAX)))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"1.0",
        b"-0",
        b"1e2",
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b'"\\u0041"',
        b'"\\/"',
        b'"\xff"',
        b'"\\ud800"',
        b"9007199254740992",
        b"[" * 100_000,
        json.dumps({"a": 1}).encode(),
    ],
)
def test_other_bytes_are_not_canonical(text: bytes) -> None:
    """Another spelling, another order, a float, a broken text: none of them passes, none of them raises."""
    assert not is_canonical(text)


class Thing(msgspec.Struct, frozen=True, kw_only=True, tag="thing", tag_field="kind"):
    """A struct as entries are."""

    z: str = ""
    a: int = 0
    more: dict[str, str] = {}
    parts: tuple[int, ...] = ()


@given(
    st.builds(
        Thing,
        z=st.text(),
        a=st.integers(),
        more=st.dictionaries(st.text(), st.text()),
        parts=st.lists(st.integers()).map(tuple),
    )
)
def test_a_struct_is_encoded_as_its_plain_form(thing: Thing) -> None:
    """The short way gives the same bytes as the long one, and refuses what that refuses."""
    plain = msgspec.to_builtins(thing)
    try:
        expected = canonical(plain)
    except NotCanonicalError:
        with pytest.raises(NotCanonicalError):
            canonical_struct(thing)
    else:
        assert expected == canonical_struct(thing)


@pytest.mark.parametrize("number", [2**53, -(2**53), 10**16])
def test_a_large_integer_in_a_struct_is_refused(number: int) -> None:
    """Wherever it stands."""
    for thing in (Thing(a=number), Thing(parts=(1, number))):
        with pytest.raises(NotCanonicalError):
            canonical_struct(thing)


def test_half_a_surrogate_pair_in_a_struct_is_refused() -> None:
    """It is no text."""
    with pytest.raises(NotCanonicalError, match="surrogate"):
        canonical_struct(Thing(z="\ud800"))
