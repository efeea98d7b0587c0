"""What journeys share: the judge in another process, and services that end with their test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.processes import Judge, Served, Serving, end, serve, simulators

KEYS = {"KIMI_API_KEY": "sim-rich-journeys", "GLM_API_KEY": "sim-rich-journeys"}


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Run the simulators, in another process, for all journeys."""
    with simulators(tmp_path_factory.mktemp("simulators")) as judge:
        yield judge


@pytest.fixture
async def judge(simulated: Judge) -> AsyncIterator[Judge]:
    """Give the simulators with new books and no faults; leave none behind."""
    await simulated.reset()
    yield simulated
    await simulated.fault()


def starter(simulated: Judge, folder: Path, started: list[Served]) -> Serving:
    """Make a starter of services that face the simulators."""

    def run(**variables: str) -> Served:
        environ = {**KEYS, **simulated.base_urls, **variables}
        given = {name: text for name, text in environ.items() if text}  # "" takes one away
        started.append(serve(folder / f"service-{len(started)}", given))
        return started[-1]

    return run


@pytest.fixture
def serving(simulated: Judge, tmp_path: Path) -> Iterator[Serving]:
    """Start services for one test."""
    started: list[Served] = []
    yield starter(simulated, tmp_path, started)
    for served in started:
        end(served.child)


@pytest.fixture(scope="module")
def serving_long(simulated: Judge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Start services for all tests of a file."""
    started: list[Served] = []
    yield starter(simulated, tmp_path_factory.mktemp("services"), started)
    for served in started:
        end(served.child)
