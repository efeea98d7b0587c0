"""Series of a metric: those that stand from the start, and those that appear with their first event.

Real and simulated attempts never share one: a simulator's money is no money.
"""

from collections.abc import Iterable
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram

OTHER = "other"  # a label value for what is outside its closed set
SIMULATED = "simulated"  # the label, and the word in the detail of a start's entry; its values: "true", "false"
Values = tuple[str, ...]
OfModel = tuple[str, str, str]
"""Provider, model, and whether a simulator stands in for the provider."""
OfWallet = tuple[str, str, str]
"""A wallet's name, its provider, and whether a simulator stands in for that."""
OF_WALLET = ("wallet", "provider", SIMULATED)
WHOSE_WALLET = (
    "wallet: its name, or other; provider: whose account it is; simulated: whether a simulator stands in for the"
    " provider"
)
UNIT = "currency: ISO 4217, or credits or tokens of a plan or package, never summed over"
_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def simulated_word(*, simulated: bool) -> str:
    """Write the label's value."""
    return "true" if simulated else "false"


def stand(metric: _Metric, series: Iterable[Values]) -> dict[Values, _Metric]:
    """Make series stand at 0, and keep them: finding one by its labels costs four times as much."""
    return {values: metric.labels(*values) for values in series}


def standing(metric: _Metric, kept: dict[Values, _Metric], values: Values) -> _Metric:
    """Find a series among those that are kept; one that did not stand yet appears, and is kept."""
    found = kept.get(values)
    if found is None:
        found = kept[values] = metric.labels(*values)
    return found
