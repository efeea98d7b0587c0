"""Series stand from the start, or appear once."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from otel.series import simulated_word, stand, standing


def test_what_stands_is_found_and_what_does_not_appears() -> None:
    """A series that stood is the same object ever after; another is made once, and kept."""
    counter = Counter("things", "Things.", ("kind",), registry=CollectorRegistry())
    kept = stand(counter, [("known",)])
    known, strange = kept["known",], standing(counter, kept, ("strange",))
    assert known is standing(counter, kept, ("known",))
    assert strange is standing(counter, kept, ("strange",))
    assert {("known",): known, ("strange",): strange} == kept
    strange.inc()
    samples = [one for family in counter.collect() for one in family.samples if one.name == "things_total"]
    assert {"known": 0.0, "strange": 1.0} == {one.labels["kind"]: one.value for one in samples}


@pytest.mark.parametrize(("simulated", "word"), [(True, "true"), (False, "false")])
def test_the_word_is_that_of_the_entries(simulated: bool, word: str) -> None:  # noqa: FBT001 - the very label
    """A start's entry and the label write it alike."""
    assert word == simulated_word(simulated=simulated)
