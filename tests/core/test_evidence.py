"""What is kept of a request can be checked by a stranger, and holds no cookie."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from service.core.canonical import canonical
from service.core.evidence import (
    HEADER_NAMES_MAX,
    HEADER_VALUE_CHARS_MAX,
    SALT_BYTES,
    Commitment,
    commitment,
    kept_headers,
)

KEPT = frozenset({"msh-request-id", "content-type"})


@given(st.binary(min_size=SALT_BYTES, max_size=SALT_BYTES), st.binary(max_size=50))
def test_a_commitment_is_checked_with_salt_and_content(salt: bytes, content: bytes) -> None:
    """Who holds both can compute it; its size is the content's."""
    assert Commitment(hashlib.sha256(salt + content).hexdigest(), len(content)) == commitment(salt, content)


def test_the_salt_hides_a_short_text() -> None:
    """Equal texts have different commitments under different salts."""
    assert commitment(b"a" * SALT_BYTES, b"yes") != commitment(b"b" * SALT_BYTES, b"yes")


def test_headers_are_split_by_the_list() -> None:
    """A listed header keeps its value; of any other only the name is written down, once, sorted."""
    headers = [
        ("Msh-Request-Id", "r-1"),
        ("Set-Cookie", "secret=1"),
        ("Set-Cookie", "secret=2"),
        ("CONTENT-TYPE", "application/json"),
        ("Alt-Svc", "h3"),
    ]
    values = {"msh-request-id": "r-1", "content-type": "application/json"}
    assert (values, ("alt-svc", "set-cookie")) == kept_headers(headers, KEPT)


def test_headers_are_bounded() -> None:
    """Neither a long value, a long name, nor a thousand names can swell an entry; odd names are dropped."""
    flood = [(f"x-{number:04}", "") for number in range(1000)]
    values, names = kept_headers([("content-type", "v" * 999), ("h" * 999, ""), ("é", ""), *flood], KEPT)
    assert values == {"content-type": "v" * HEADER_VALUE_CHARS_MAX}
    assert len(names) == HEADER_NAMES_MAX
    assert max(map(len, names)) == HEADER_VALUE_CHARS_MAX


@given(st.lists(st.tuples(st.sampled_from([*KEPT, "cookie", "é"]) | st.text(max_size=5), st.text(max_size=9))))
def test_whatever_headers_come_can_be_written_into_an_entry(headers: list[tuple[str, str]]) -> None:
    """Bytes that are no text reach us as halves of surrogate pairs; they must not stop the ledger."""
    broken = [*headers, ("content-type", "\udcff")]
    values, names = kept_headers(broken, KEPT)
    assert values["content-type"] == "?"
    canonical([values, names])
