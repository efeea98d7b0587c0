"""The switches are read strictly and counted by requests."""

import json
from typing import Any

import pytest

from service.simulator.faults import (
    KINDS,
    Drip,
    FaultBoard,
    Gzip,
    Latency,
    WrongUsage,
    misreport,
    pick,
    read_faults,
)
from service.simulator.shapes import Usage

TRUE = Usage(prompt=100, cached=40, completion=20, reasoning=5, total=120)


def read(*faults: dict[str, Any]) -> Any:  # noqa: ANN401 - a list of any faults
    """Read faults as the judge's door does."""
    return read_faults(json.dumps({"faults": faults}).encode())


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "earthquake"},
        {"kind": "latency"},
        {"kind": "latency", "seconds": -1},
        {"kind": "hang", "speed": 1},
        {"kind": "hang", "next": 0},
        {"kind": "hang", "provider": "acme"},
        {"kind": "hang", "holds": ""},
        {"kind": "second_spender", "amount": "-1"},
        {},
    ],
)
def test_a_malformed_fault_is_refused_with_the_kinds(fault: dict[str, Any]) -> None:
    """The sentence lists every kind there is."""
    with pytest.raises(ValueError, match="The kinds are: ") as caught:
        read(fault)

    assert all(kind in str(caught.value) for kind in KINDS)


def test_rubbish_is_refused() -> None:
    """What is no JSON, and what holds more than the most faults, is refused as well."""
    with pytest.raises(ValueError, match="kinds"):
        read_faults(b"{")
    with pytest.raises(ValueError, match="kinds"):
        read(*[{"kind": "hang"}] * 101)


def test_a_counted_fault_hits_the_next_requests_and_no_more() -> None:
    """Two requests are hit, the third is not; an uncounted fault stays."""
    board = FaultBoard()
    board.put(read({"kind": "latency", "seconds": 1, "next": 2}, {"kind": "drip"}))
    hits = [board.take("kimi", None, "chat") for _ in range(3)]

    assert [pick(hit, Latency) is not None for hit in hits] == [True, True, False]
    assert all(pick(hit, Drip) for hit in hits)
    assert [fault["kind"] for fault in board.as_json()["faults"]] == ["drip"]  # type: ignore[attr-defined] # JSON


def test_a_fault_hits_only_whom_it_names() -> None:
    """Provider, wallet and kind of route must all fit, and misses are not counted."""
    board = FaultBoard()
    board.put(read({"kind": "drip", "provider": "glm", "wallet": "glm-1", "next": 1}))

    assert board.take("kimi", "glm-1", "chat") == ()
    assert board.take("glm", "glm-2", "chat") == ()
    assert board.take("glm", "glm-1", "account") == ()
    assert len(board.take("glm", "glm-1", "chat")) == 1


def test_a_fault_may_wait_for_the_request_that_holds_its_text() -> None:
    """Of requests at one time each can have a fault of its own, told by a text in its body."""
    board = FaultBoard()
    board.put(read({"kind": "drip", "holds": "case-1.", "next": 1}, {"kind": "gzip", "holds": "case-2."}))

    assert board.take("glm", None, "chat", b"nothing") == ()
    assert board.take("glm", None, "account") == ()
    assert [type(fault) for fault in board.take("glm", None, "chat", b"case-2.")] == [Gzip]
    assert [type(fault) for fault in board.take("glm", None, "chat", b"case-1. case-2.")] == [Drip, Gzip]
    assert board.take("glm", None, "chat", b"case-1.") == ()


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("missing", None),
        ("factor", Usage(300, 120, 60, 15, 360)),
        ("negative", Usage(-100, 40, -20, 5, -120)),
        ("reasoning_over", Usage(100, 40, 20, 21, 121)),
        ("absurd", Usage(10**15, 40, 10**15, 5, 2 * 10**15)),
    ],
)
def test_usage_is_misreported_as_ordered(variant: str, expected: Usage | None) -> None:
    """Each variant bends the numbers in its own way."""
    assert expected == misreport(TRUE, read({"kind": "wrong_usage", "variant": variant, "factor": 3}))


def test_without_a_fault_usage_is_told_truly() -> None:
    """Other faults leave the numbers alone."""
    assert misreport(TRUE, [Drip()]) == TRUE
    assert pick([Drip()], WrongUsage) is None
