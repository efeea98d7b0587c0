"""What fault tests share: the judge in another process, untouched by whatever happens to the service."""

from collections.abc import Iterator

import pytest

from tests.processes import Judge, simulators


@pytest.fixture
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Run the simulators, in another process, with books of one test."""
    with simulators(tmp_path_factory.mktemp("simulators")) as judge:
        yield judge
