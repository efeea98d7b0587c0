"""Entries as a run writes them, for every room's tests; and the settings of generated tests."""

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import settings

from service.core.entries import (
    AcceptedEntry,
    AnswerEntry,
    Cost,
    DoubtEntry,
    Estimate,
    IntentEntry,
    OfCall,
    RefusalEntry,
    ResolutionEntry,
    SettlementEntry,
    ToolCallEntry,
    UnsentEntry,
    WorstCase,
    encode,
)
from service.core.evidence import Commitment, Timing
from service.core.merkle import leaf_hash
from service.core.record import ToolCall, after
from service.core.usage import Usage
from service.core.words import (
    CostStatus,
    DoubtCause,
    RefusalReason,
    ResolutionOutcome,
    ResolutionSource,
    ToolOutcome,
    UnsentReason,
)

# A run's result must not hang on luck, on a slow machine or on what an earlier run left behind.
settings.register_profile("house", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("house")

CALL = "c" * 32
AT = "2026-11-22T16:21:00.000000Z"


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Give the root logger back as it was: a command that a test runs in its own process sets it for all."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


class Made:
    """A maker of plausible entries of one call; keywords change their fields.

    `number` tells attempts apart: `attempt_id(1)` is the first one's id.
    """

    @staticmethod
    def attempt_id(number: int = 1) -> str:
        """Name the attempt of a number."""
        return f"{number:032x}"

    def tool_call(self, **changed: Any) -> ToolCallEntry:  # noqa: ANN401 - any field
        """Open the call."""
        entry = ToolCallEntry(
            tool_call_id=CALL,
            client="owner",
            session="s-1",
            transport="websocket",
            protocol="2025-11-25",
            request_id="1",
            tool="chat",
            arguments=Commitment("0" * 64, 20),
            trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
            parent_span_id=None,
            parent_sampled=None,
        )
        return msgspec.structs.replace(entry, **changed)

    def intent(self, number: int = 1, **changed: Any) -> IntentEntry:  # noqa: ANN401 - any field
        """Intend an attempt that may cost 1.5 USD."""
        entry = IntentEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            number=number,
            retry_of=None,
            provider="kimi",
            wallet="kimi-main",
            endpoint="https://api.moonshot.ai/v1/chat/completions",
            model="kimi-k3",
            stream=False,
            max_output_tokens=1000,
            nonce="6f1c2b8e-0c1f-4a8e-9d55-0a3c2f4b5d6e",
            client_request_id=None,
            request=Commitment(f"{number:064x}", 300),
            worst_case=WorstCase(input_tokens=600, output_tokens=1000, currency="USD", amount="1.5"),
            price_version="0123456789abcdef",
            simulated=False,
            own_host=True,
        )
        return msgspec.structs.replace(entry, **changed)

    def accepted(self, number: int = 1, **changed: Any) -> AcceptedEntry:  # noqa: ANN401 - any field
        """Accept an attempt with status 200."""
        entry = AcceptedEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            status=200,
            provider_ids={"msh-request-id": f"header-{number}"},
            headers={"content-type": "application/json"},
            other_headers=("set-cookie",),
            tls=None,
        )
        return msgspec.structs.replace(entry, **changed)

    def settlement(self, number: int = 1, **changed: Any) -> SettlementEntry:  # noqa: ANN401 - any field
        """Settle an attempt at 0.25 USD."""
        entry = SettlementEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            status=200,
            usage=self.usage(),
            usage_raw='{"prompt_tokens":100,"completion_tokens":50}',
            usage_flags=(),
            cost=self.cost(),
            model_reported="kimi-k3",
            model_known=True,
            finish_reason="stop",
            provider_ids={"id": f"chatcmpl-{number}"},
            response=Commitment(f"{number + 100:064x}", 900),
            signature=None,
            timing=Timing(first_byte_us=1500, ended_us=20_250),
        )
        return msgspec.structs.replace(entry, **changed)

    def refusal(self, number: int = 1, **changed: Any) -> RefusalEntry:  # noqa: ANN401 - any field
        """Refuse an attempt: too many requests."""
        entry = RefusalEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            status=429,
            reason=RefusalReason.RATE_LIMITED,
            retryable=True,
            retry_after_ms=1000,
            provider_type="rate_limit_reached_error",
            provider_code=None,
            message="please try again after 1 seconds",
            provider_ids={},
            timing=Timing(ended_us=900),
        )
        return msgspec.structs.replace(entry, **changed)

    def unsent(self, number: int = 1, **changed: Any) -> UnsentEntry:  # noqa: ANN401 - any field
        """Fail an attempt before its first byte."""
        entry = UnsentEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            reason=UnsentReason.CONNECTION_REFUSED,
            message="connection refused",
            timing=Timing(ended_us=400),
        )
        return msgspec.structs.replace(entry, **changed)

    def doubt(self, number: int = 1, **changed: Any) -> DoubtEntry:  # noqa: ANN401 - any field
        """Lose an attempt's answer; the guess is 0.125 USD."""
        entry = DoubtEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            cause=DoubtCause.STREAM_CUT,
            message="the stream ended early",
            status=200,
            model_reported="kimi-k3",
            finish_reason=None,
            provider_ids={"id": f"chatcmpl-{number}"},
            response=Commitment(f"{number + 100:064x}", 80),
            estimate=Estimate(
                method="bytes/4, v1", input_tokens=75, output_tokens=20, currency="USD", amount="0.125"
            ),
            timing=Timing(first_byte_us=1500, ended_us=5000),
        )
        return msgspec.structs.replace(entry, **changed)

    def resolution(self, number: int = 1, **changed: Any) -> ResolutionEntry:  # noqa: ANN401 - any field
        """Resolve an attempt in doubt: it cost 0.5 USD."""
        entry = ResolutionEntry(
            tool_call_id=CALL,
            attempt_id=self.attempt_id(number),
            outcome=ResolutionOutcome.RECONCILED,
            currency="USD",
            amount="0.5",
            tokens=700,
            source=ResolutionSource.OPERATOR,
            by="user anna (uid 1000) on this machine",
            why="the provider's console shows it",
        )
        return msgspec.structs.replace(entry, **changed)

    def written_off(self, number: int = 1) -> ResolutionEntry:
        """Write an attempt in doubt off."""
        off = ResolutionOutcome.WRITTEN_OFF
        return self.resolution(number, outcome=off, currency=None, amount=None, tokens=None)

    def answer(self, **changed: Any) -> AnswerEntry:  # noqa: ANN401 - any field
        """Close the call well."""
        entry = AnswerEntry(
            tool_call_id=CALL,
            outcome=ToolOutcome.OK,
            zero_reason=None,
            error_code=None,
            response=Commitment("f" * 64, 40),
            duration_us=21_000,
        )
        return msgspec.structs.replace(entry, **changed)

    def usage(self, **changed: Any) -> Usage:  # noqa: ANN401 - any field
        """Count 100 tokens in and 50 out."""
        counts = Usage(
            uncached_input_tokens=60,
            cached_input_tokens=40,
            cache_write_tokens=0,
            output_tokens=50,
            reasoning_tokens=30,
        )
        return msgspec.structs.replace(counts, **changed)

    def cost(self, **changed: Any) -> Cost:  # noqa: ANN401 - any field
        """Cost 0.25 USD."""
        stated = Cost(status=CostStatus.PRICED, currency="USD", amount="0.25", price_version="0123456789abcdef")
        return msgspec.structs.replace(stated, **changed)

    def call(self, *entries: OfCall) -> ToolCall:
        """Open the call and fold entries into its record, placed as the ledger places them."""
        call: ToolCall | None = None
        for index, entry in enumerate((self.tool_call(), *entries)):
            placed = msgspec.structs.replace(entry, origin="o-1", epoch=1, index=index, at=AT)
            call = after(call, placed, leaf_hash(encode(placed)))
        assert call is not None
        return call


@pytest.fixture(scope="session")
def made() -> Made:
    """A maker of entries."""
    return Made()
