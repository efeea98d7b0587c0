"""A client's trace context is taken when it is valid, and only then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.trace import TraceParent, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEX = "0123456789abcdef"


def ids(length: int) -> st.SearchStrategy[str]:
    """Generate valid ids: lower-case hex, not all zero."""
    return st.text(HEX, min_size=length, max_size=length).filter(lambda text: text.strip("0") != "")


@given(ids(32), ids(16), st.integers(0, 255))
def test_a_valid_context_is_read(trace_id: str, span_id: str, flags: int) -> None:
    """Ids pass unchanged, and the lowest flag says whether the client records."""
    found = parse_traceparent(f"00-{trace_id}-{span_id}-{flags:02x}")
    assert TraceParent(trace_id, span_id, flags % 2 == 1) == found


@pytest.mark.parametrize("text", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-and-more"])
def test_a_later_version_is_read_as_far_as_it_is_known(text: str) -> None:
    """A version after ours may say more; what it begins with is what we know."""
    assert TraceParent(TRACE, SPAN, sampled=True) == parse_traceparent(text)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        b"00",
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[1:]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-0x",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_whatever_else_comes_is_no_context(value: object) -> None:
    """A malformed, zero or forbidden value is passed over; it never raises."""
    assert parse_traceparent(value) is None


@given(st.text(max_size=80))
def test_any_text_may_come(text: str) -> None:
    """A stranger's text never raises."""
    parse_traceparent(text)
