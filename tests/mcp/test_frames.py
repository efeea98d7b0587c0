"""A frame is read strictly, and never costs more than its limits."""

import json

import pytest

from service.mcp.events import RejectReason
from service.mcp.frames import FrameError, bounded_label, dump, is_request_id, load, quote


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"{}x", "malformed_json"),
        (b"{'a':1}", "malformed_json"),
        (b'{"a":NaN}', "malformed_json"),
        (b'{"a":-Infinity}', "malformed_json"),
        (b'{"a":1e999}', "malformed_json"),
        (b'{"a":' + b"9" * 5000 + b"}", "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b'{"a":1,}', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        ("{}".encode("utf-16"), "malformed_json"),
        (b'{"a":"\xff"}', "malformed_json"),
        (b'{"\xff":1}', "malformed_json"),
        (b'{"a":"\xed\xa0\x80"}', "malformed_json"),
        (b'{"a":"\\ud800"}', "malformed_json"),
        (b'{"a":"\\udc00"}', "malformed_json"),
        (b'{"a":"\\ud800\\u0041"}', "malformed_json"),
        (b'{"a":"\\ud800A......"}', "malformed_json"),
        (b'{"\\udfff":1}', "malformed_json"),
        (b"[]", "batch"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', "batch"),
        (b"null", "not_an_object"),
        (b"7", "not_an_object"),
        (b'"op"', "not_an_object"),
        (b'{"a":' * 8 + b"1" + b"}" * 8, "too_deep"),
        (b'{"a":' + b"[" * 7 + b"]" * 7 + b"}", "too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
    ],
)
def test_a_bad_frame_has_one_reason(frame: bytes, reason: str) -> None:
    """Each kind of bad frame is refused for its own reason, with a remedy."""
    with pytest.raises(FrameError) as caught:
        load(frame, depth_max=7)
    assert RejectReason(reason) == caught.value.reason
    assert caught.value.remedy
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (b' {"a" : 1}\n', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":9007199254740993}', {"a": 2**53 + 1}),
        (b'{"a":-1180591620717411303424}', {"a": -(2**70)}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a":"\\u0000"}', {"a": "\0"}),
        (b'{"a":' * 7 + b"1" + b"}" * 7, json.loads('{"a":' * 7 + "1" + "}" * 7)),
        (b'{"a":[[],[],[],[],[],[],[],[],[],[]],"b":"[[[[{{{{"}', {"a": [[]] * 10, "b": "[[[[{{{{"}),
    ],
)
def test_a_good_frame_is_read_exactly(frame: bytes, value: object) -> None:
    """Whole numbers stay exact, the last of two equal keys counts, and wide is not deep."""
    assert value == load(frame, depth_max=7)


def test_a_frame_too_deep_still_tells_its_id() -> None:
    """What could be read of a frame that is too deep is kept for the reply."""
    with pytest.raises(FrameError) as caught:
        load(b'{"id":5,"a":[[[]]]}', depth_max=2)
    assert caught.value.readable == {"id": 5, "a": [[[]]]}


def test_a_lone_surrogate_is_written_as_a_question_mark() -> None:
    """A text that UTF-8 cannot carry does not stop the answer it stands in."""
    assert json.loads(dump({"a": ["x\ud800y", 2**70]})) == {"a": ["x?y", 2**70]}


@pytest.mark.parametrize("text", ["x" * 10**6, "\x1b[31m" * 1000, "'\"" * 500, {"a": "b" * 1000}, 10**4000])
def test_a_quoted_text_is_short_and_printable(text: object) -> None:
    """No client text grows a message or reaches a terminal raw."""
    assert len(quote(text)) <= 80
    assert quote(text).isprintable()


def test_a_label_is_short_and_printable() -> None:
    """A client's name loses what does not print; nothing is left of no name."""
    assert bounded_label("a\nb ") == "a?b"
    assert [bounded_label(text) for text in (" ", 7, None)] == [None, None, None]
    assert bounded_label("x" * 99) == "x" * 80


@pytest.mark.parametrize("value", [0, -1, 2**53 + 1, 2**256 - 1, "", "0", "x" * 256])
def test_strings_and_integers_name_requests(value: object) -> None:
    """Zero and the empty string are ids like others."""
    assert is_request_id(value, 256)


@pytest.mark.parametrize("value", [None, True, False, 1.0, [], {}, "x" * 257, 2**256])
def test_nothing_else_names_a_request(value: object) -> None:
    """A boolean is no integer here, and an id has an end."""
    assert not is_request_id(value, 256)
