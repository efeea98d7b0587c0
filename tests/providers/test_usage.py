"""Tests of reading a usage object."""

import pytest
from msgspec import Raw

from service.core.usage import Usage, UsageFlag
from service.providers._usage import USAGE_BYTES_MAX, read_usage


def _usage(uncached: int, cached: int, write: int, output: int, reasoning: int) -> Usage:
    return Usage(
        uncached_input_tokens=uncached,
        cached_input_tokens=cached,
        cache_write_tokens=write,
        output_tokens=output,
        reasoning_tokens=reasoning,
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b'{"prompt_tokens":9,"completion_tokens":3}', _usage(9, 0, 0, 3, 0)),
        (b'{"prompt_tokens":9,"completion_tokens":3,"cached_tokens":4}', _usage(5, 4, 0, 3, 0)),
        (
            b'{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}',
            _usage(5, 4, 0, 3, 0),
        ),
        (
            (
                b'{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":'
                b'{"cached_tokens":4,"cache_write_tokens":5},"completion_tokens_details":{"reasoning_tokens":2}}'
            ),
            _usage(0, 4, 5, 3, 2),
        ),
        (
            b'{"prompt_tokens":9,"completion_tokens":3,"cached_tokens":null,"prompt_tokens_details":null}',
            _usage(9, 0, 0, 3, 0),
        ),
    ],
)
def test_cached_tokens_are_found_in_every_place(source: bytes, expected: Usage) -> None:
    """Cached tokens stand flat, nested or nowhere; cache writes and reasoning are nested."""
    assert (expected, ()) == read_usage(Raw(source))


def test_contradictions_are_flagged_and_the_flat_count_holds() -> None:
    """Two cached counts that differ are flagged, and the flat one is taken."""
    source = (
        b'{"prompt_tokens":9,"completion_tokens":3,"cached_tokens":4,"prompt_tokens_details":{"cached_tokens":5}}'
    )
    assert (_usage(5, 4, 0, 3, 0), (UsageFlag.CACHED_COUNTS_DIFFER,)) == read_usage(Raw(source))


def test_reasoning_may_exceed_output_by_one() -> None:
    """A known fault of the provider is flagged and its numbers are kept."""
    source = (
        b'{"prompt_tokens":951,"completion_tokens":6000,"total_tokens":6952,'
        b'"completion_tokens_details":{"reasoning_tokens":6001}}'
    )
    flags = (UsageFlag.REASONING_ABOVE_OUTPUT, UsageFlag.TOTAL_DIFFERS)
    assert (_usage(951, 0, 0, 6000, 6001), flags) == read_usage(Raw(source))


@pytest.mark.parametrize("bad", [b"true", b"1.0", b'"1"', b"-1", b"1e2", b"[]", b"{}", b"9999999999999999999"])
@pytest.mark.parametrize("name", [b"prompt_tokens", b"completion_tokens", b"total_tokens", b"cached_tokens"])
def test_what_is_no_count_is_no_usage(name: bytes, bad: bytes) -> None:
    """A count that is no whole number makes the whole set unreadable; a total below zero is only odd."""
    counts = {b"prompt_tokens": b"1", b"completion_tokens": b"1", name: bad}
    source = b"{" + b",".join(b'"%s":%s' % pair for pair in counts.items()) + b"}"
    usage, flags = read_usage(Raw(source))
    if (name, bad) == (b"total_tokens", b"-1"):
        assert flags == (UsageFlag.TOTAL_DIFFERS,)
    else:
        assert usage is None


@pytest.mark.parametrize(
    "source",
    [
        b"{}",
        b"[]",
        b"7",
        b'{"prompt_tokens":1}',
        b'{"completion_tokens":1}',
        b'{"prompt_tokens":null,"completion_tokens":1}',
        b'{"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":[]}',
        b'{"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":"1"}}',
        b'{"prompt_tokens":1,"completion_tokens":1,"x":"' + b"x" * USAGE_BYTES_MAX + b'"}',
    ],
)
def test_an_incomplete_set_is_no_usage(source: bytes) -> None:
    """Unknown is None: no count is ever made up."""
    assert read_usage(Raw(source)) == (None, ())
