"""Tests of lenient JSON."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from service.providers._json import count, exact, fields, is_null, items, string


@pytest.mark.parametrize(
    "source", [b"", b"[]", b"1", b"{", b'{"a":}', b"\xff", b"[" * 100_000, b'{"a":' * 100_000]
)
def test_what_is_no_object_has_no_fields(source: bytes) -> None:
    """Broken, foreign and bottomless JSON reads as no object, without an exception."""
    assert fields(source) is None


def test_a_bad_field_spoils_only_itself() -> None:
    """A list where a string should be reads as no string; its neighbour is whole."""
    found = fields(b'{"a": [1], "b": "x"}') or {}
    assert (string(found["a"]), string(found["b"])) == (None, "x")


def test_exact_text_is_kept() -> None:
    """A field's text is the stranger's own, blanks and order and all."""
    found = fields(b'{"u": {"b":1,  "a":1.50}}') or {}
    assert exact(found["u"]) == '{"b":1,  "a":1.50}'


@pytest.mark.parametrize("half", [b"\\ud83d", b"\\ude00", b"\xf0\x9f", b"\\ud83d\\ud83d"])
def test_half_a_character_costs_only_itself(half: bytes) -> None:
    """A text with half of a character is read with a mark in its place, and what stands beside it is kept."""
    found = fields(b'{"text": "a' + half + b'b", "n": 7}') or {}
    text = string(found["text"]) or ""
    assert ("a", "b", {"\ufffd"}) == (text[0], text[-1], set(text[1:-1]))
    assert count(found["n"]) == 7


def test_whole_characters_survive_a_repair() -> None:
    """Pairs of surrogates and escaped backslashes stay as they were beside a lone half."""
    found = fields(rb'{"text": "\ud83d\ude00 \\ud83d \ud83d"}') or {}
    assert string(found["text"]) == "\U0001f600 \\ud83d \ufffd"


@pytest.mark.parametrize("source", [b"true", b"1.0", b"1e3", b'"1"', b"null", b"[1]", b"9" * 16])
def test_only_whole_numbers_count(source: bytes) -> None:
    """Booleans, floats, strings and absurd numbers are no counts."""
    assert count(Raw(source)) is None


def test_absent_and_null_are_alike() -> None:
    """A field that is absent or null says nothing; one that is false says something."""
    assert [is_null(None), is_null(Raw(b"null")), is_null(Raw(b"false"))] == [True, True, False]


@settings(deadline=None)
@given(st.binary())
def test_rubbish_never_raises(source: bytes) -> None:
    """Whatever a stranger sends, reading it is safe."""
    raw = Raw(source)
    fields(source), items(raw), string(raw), count(raw), exact(raw)
