"""Every file of the core is covered by its own test file, alone: lines and branches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import coverage
import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "service" / "core"
MODULES = sorted(file.stem for file in CORE.glob("*.py") if file.stem != "__init__")
TESTED = sorted(file.stem.removeprefix("test_") for file in (ROOT / "tests" / "core").glob("test_*.py"))

# Each line and branch is credited to the file of the test that took it. What runs when the core is
# imported counts for all; what runs while tests are collected counts for none.
MEASURE = """
import importlib, sys, coverage, pytest

measured, *modules = sys.argv[1:]
measuring = coverage.Coverage(data_file=measured, config_file=False, branch=True, source=["service.core"])

class ByFile:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        measuring.switch_context(item.path.stem)
        try:
            return (yield)
        finally:
            measuring.switch_context("between")

measuring.start()
measuring.switch_context("import")
for module in modules:
    importlib.import_module("service.core." + module)
measuring.switch_context("between")
status = pytest.main(["tests/core", "-q", "-p", "no:cacheprovider"], plugins=[ByFile()])
measuring.stop()
measuring.save()
sys.exit(status)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> coverage.Coverage:
    """Run the core's tests once, in a process of their own."""
    found = str(tmp_path_factory.mktemp("coverage") / "measured")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, found, *MODULES],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(("COV_", "COVERAGE"))},
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    measuring = coverage.Coverage(data_file=found, config_file=False, branch=True)
    measuring.load()
    return measuring


@pytest.mark.parametrize("module", MODULES)
def test_a_core_file_is_covered_by_its_own_test(module: str, measured: coverage.Coverage, tmp_path: Path) -> None:
    """No line and no branch is left to the tests of its neighbours."""
    report = tmp_path / "report.json"
    own = ["^import$", f"^test_{module}$"]
    measured.json_report(morfs=[str(CORE / f"{module}.py")], contexts=own, outfile=str(report))
    (file,) = json.loads(report.read_text(encoding="utf-8"))["files"].values()
    assert (file["missing_lines"], file["missing_branches"]) == ([], [])


def test_every_core_file_has_a_test_file_of_its_name() -> None:
    """And every test file of the core has a file that it tests."""
    assert TESTED == MODULES
