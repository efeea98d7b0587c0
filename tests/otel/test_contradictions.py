"""What contradicts itself is counted at its close, and what a counter resolved is spent once."""

from typing import TYPE_CHECKING

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from otel.exporting import ExportCounts, ExportState
from otel.metrics import Labels, Metrics
from otel.wallets import WalletLabels
from service.core.words import ResolutionSource, ZeroReason

if TYPE_CHECKING:
    from tests.conftest import Made

LABELS = Labels(
    tools=("chat",),
    models=(("kimi", "kimi-k3"),),
    currencies=("USD",),
    rejections=(),
    simulated=False,
    wallets=(WalletLabels(name="kimi-main", provider="kimi", currency="USD", simulated=False),),
)
MISMATCHES = "exai_call_mismatches_total"


@pytest.fixture
def metrics() -> Metrics:
    """Fresh metrics."""
    return Metrics(LABELS, version="1", in_doubt=[], export=lambda: ExportCounts(state=ExportState.OFF))


def read(metrics: Metrics, *names: str) -> dict[tuple[str, ...], float]:
    """Read metrics as (name, label values in the order of the labels' names)."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render(None)[0].decode())
        for sample in family.samples
        if sample.name in names
    }


def test_a_call_that_contradicts_itself_is_counted_by_its_code(metrics: Metrics, made: "Made") -> None:
    """Another model's answer, and an answer without a request; what only waits for a reading is not."""
    before = read(metrics, MISMATCHES)
    assert {0.0} == set(before.values())
    assert {(MISMATCHES, code, "false") for code in ("M1", "M3", "M5", "M8")} <= before.keys()
    other = made.settlement(model_reported="x", model_known=False)
    for call in (
        made.call(made.intent(), other, made.answer()),
        made.call(made.intent(simulated=True), other, made.answer()),
        made.call(made.intent(), made.settlement(), made.answer()),
        made.call(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP)),
    ):
        metrics.closed(call, 0)
    phantom = made.call(made.answer(zero_reason=ZeroReason.NO_MODEL_STEP))
    opened = msgspec.structs.replace(phantom.opened, needs_model=True)
    metrics.closed(msgspec.structs.replace(phantom, opened=opened), 0)
    counted = {series[1:]: value for series, value in read(metrics, MISMATCHES).items() if value}
    assert {("M3", "false"): 1, ("M3", "true"): 1, ("M5", "false"): 1} == counted


def test_what_readings_resolved_is_spent_once(metrics: Metrics, made: "Made") -> None:
    """A doubt is no spend; its resolution by readings is, and no settlement is counted for it."""
    call = made.call(made.intent(), made.doubt())
    metrics.ended(call, call.attempts[0])
    names = ("exai_spend_total", "exai_wallet_spend_total", "exai_settlements_total")
    assert 0 == sum(read(metrics, *names).values())
    metrics.resolved(call, call.attempts[0], made.resolution(source=ResolutionSource.READINGS))
    found = {series[0]: value for series, value in read(metrics, *names).items() if value}
    assert {"exai_spend_total": 0.5, "exai_wallet_spend_total": 0.5} == found
