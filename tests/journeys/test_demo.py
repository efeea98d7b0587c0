"""The demo: it proves itself by the simulators' books, and can fail to."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from service.cli import _conservation, demo
from service.cli._conservation import Account
from service.core.entries import AnyEntry, encode
from service.core.merkle import leaf_hash
from service.ledger.store import Line
from tests.conftest import Made
from tests.processes import run

METRICS = """# TYPE exai_attempts_total counter
exai_attempts_total{outcome="settled"} 1.0
exai_attempts_total{outcome="in_doubt"} 1.0
# TYPE exai_tool_calls_total counter
exai_tool_calls_total 1.0
# TYPE exai_spend_total counter
exai_spend_total{currency="USD"} 0.25
exai_spend_total{currency="CNY"} 0.0
"""
OTHER_NONCE = "0b1c2b8e-0c1f-4a8e-9d55-0a3c2f4b5d6e"


def line(index: int, entry: AnyEntry) -> Line:
    """File an entry as a ledger would."""
    written = encode(entry)
    return Line(index, "", None, leaf_hash(written), written)


def booked(nonce: str, amount: str) -> dict[str, Any]:
    """Write a request into the books."""
    billed = {"amount": amount, "currency": "USD"}
    return {"nonce": nonce, "client_request_id": None, "wallet": "kimi-main", "billed": billed}


@dataclass
class Accounts:
    """Accounts of one call: an attempt in doubt, one that settled at 0.25 USD. All of them agree."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    metrics: str = METRICS
    shown_pico: int = 250_000_000_000
    foreign_pico: int = 0
    server_spans: int = 1

    def holds(self) -> bool:
        """Say whether every check holds."""
        made = Made()
        told: list[AnyEntry] = [
            made.tool_call(),
            made.intent(),
            made.settlement(),
            made.intent(2, nonce=OTHER_NONCE),
            made.doubt(2),
            made.answer(),
        ]
        account = Account(line(index, entry) for index, entry in enumerate(told))
        totals = [{"currency": "USD", "cost_pico": str(self.shown_pico)}]
        if self.foreign_pico:
            totals.append({"currency": "CNY", "cost_pico": str(self.foreign_pico)})
        page = {"totals": totals}
        checks = [
            *_conservation.against_books(account, {"requests": self.requests}),
            *_conservation.against_views(account, metrics=self.metrics, page=page, server_spans=self.server_spans),
        ]
        assert len(checks) >= 8
        broken = [check.what for check in checks if not check.holds]
        assert len(broken) <= 1, broken  # each alteration is seen by the one check that looks there
        return not broken


@pytest.fixture
def accounts() -> Accounts:
    """Begin with accounts that agree."""
    return Accounts([booked(Made().intent().nonce or "", "0.25"), booked(OTHER_NONCE, "0.125")])


async def test_once_ends_well_and_says_what_it_was(tmp_path: Path) -> None:
    """`exai demo --once` makes its calls, says SIMULATED, finds that conservation holds, and exits with 0."""
    status, said = await run("demo", "--once", folder=tmp_path)
    text = said.decode()
    assert 0 == status, text
    assert text.startswith("SIMULATED")
    assert text.endswith("Conservation holds.\n")
    assert "≠" not in text
    assert 2 == text.count("Proof: SIMULATED")
    for shown in ("in doubt", "refused", "tried again", "cancelled", "glm-4.7-flash", "kimi-"):
        assert shown in text


async def test_a_provider_that_bills_twice_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same demo before a provider that takes its money twice ends with 1 and shows both figures."""

    class Cheated(demo.Demo):
        async def run(self) -> None:
            await self._fault("kimi", kind="double_bill")
            await super().run()

    monkeypatch.setattr(demo, "Demo", Cheated)
    status = await asyncio.wait_for(demo._demo(once=True, port=0), 60)
    said = capsys.readouterr().out
    assert 1 == status
    assert "Conservation is broken." in said
    assert 1 == said.count("≠")


def test_accounts_that_agree_are_believed(accounts: Accounts) -> None:
    """What is in doubt is billed apart; nothing is wrong with that."""
    assert accounts.holds()


def test_a_request_that_nobody_intended_is_found(accounts: Accounts) -> None:
    """A request in the books without an intent breaks the count."""
    accounts.requests.append(booked("stranger", "0"))
    assert not accounts.holds()


def test_a_request_that_never_arrived_is_found(accounts: Accounts) -> None:
    """An intent without a request in the books breaks the count."""
    del accounts.requests[1]
    assert not accounts.holds()


@pytest.mark.parametrize("amount", ["0.250000001", "0.249999999"])
def test_a_bill_that_differs_in_its_last_digit_is_found(accounts: Accounts, amount: str) -> None:
    """Settled and billed are equal to the last digit or not at all."""
    accounts.requests[0]["billed"]["amount"] = amount
    assert not accounts.holds()


@pytest.mark.parametrize(
    ("told", "otherwise"),
    [
        ('{outcome="settled"} 1.0', '{outcome="settled"} 2.0'),
        ("exai_tool_calls_total 1.0", "exai_tool_calls_total 0.0"),
        ('{currency="USD"} 0.25', '{currency="USD"} 0.25000001'),
    ],
)
def test_a_counter_that_differs_is_found(accounts: Accounts, told: str, otherwise: str) -> None:
    """Each of the three counters is held against the entries."""
    assert told in accounts.metrics
    accounts.metrics = accounts.metrics.replace(told, otherwise)
    assert not accounts.holds()


def test_a_bill_above_what_is_held_is_found(accounts: Accounts) -> None:
    """The worst case of an attempt in doubt is a bound: a bill beyond it, or in another currency, breaks it."""
    accounts.requests[1]["billed"]["amount"] = "1.5"
    assert accounts.holds()
    accounts.requests[1]["billed"]["amount"] = "1.500000000001"
    assert not accounts.holds()


def test_currencies_are_never_added(accounts: Accounts) -> None:
    """Spend in another currency that no entry knows is no part of the dollars: the page is found out."""
    accounts.foreign_pico = 1
    assert not accounts.holds()


def test_a_page_that_differs_is_found(accounts: Accounts) -> None:
    """One pico-unit less on the page is seen."""
    accounts.shown_pico -= 1
    assert not accounts.holds()


@pytest.mark.parametrize("spans", [0, 2])
def test_spans_that_differ_are_found(accounts: Accounts, spans: int) -> None:
    """One server span for each closed call: none lost, none twice."""
    accounts.server_spans = spans
    assert not accounts.holds()
