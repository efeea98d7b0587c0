"""Entropy is given away once."""

import os

from service.entropy import PORTION_BYTES, Entropy


def test_every_byte_is_given_once() -> None:
    """Portions are cut from the source's bytes in order, and none is seen twice."""
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)]) * count

    entropy = Entropy(source)
    given = [entropy(16) for _ in range(PORTION_BYTES // 16 + 1)]
    assert [PORTION_BYTES, PORTION_BYTES] == asked
    assert [1] * (PORTION_BYTES // 16) + [2] == [portion[0] for portion in given]


def test_what_is_left_of_a_portion_is_not_stretched() -> None:
    """An answer is never shorter than asked, nor put together from two portions."""
    entropy = Entropy(os.urandom)
    assert {24} == {len(entropy(24)) for _ in range(1000)}


def test_much_is_asked_of_the_source_itself() -> None:
    """More than a portion comes straight from the source."""
    entropy = Entropy(os.urandom)
    assert 2 * PORTION_BYTES == len(entropy(2 * PORTION_BYTES))
    assert 1000 == len({entropy(16) for _ in range(1000)})
