"""The tools that tests need beside Python: found on the PATH, else got from Debian, else asked for by name.

`python -m tests.equipping` gets what is missing, once; tests only look. A missing tool fails the tests that
need it. Only an operator who says so (EXAI_WITHOUT=prometheus,chromium) has them skipped instead.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

FOLDER = Path(__file__).resolve().parents[1] / ".tools"
WITHOUT = "EXAI_WITHOUT"
APT_TIMEOUT_S = 600
_AS_PACKAGED = Path("usr/bin")


class MissingToolError(RuntimeError):
    """A tool is neither on the PATH nor in our folder; the text says how to get it."""


class _Tool(NamedTuple):
    """A package and the programs that tests take from it; several names mean: any one of them."""

    package: str
    programs: tuple[tuple[str, ...], ...]
    get: Callable[["_Tool"], None]

    @property
    def remedy(self) -> str:
        """How a person gets it."""
        names = " and ".join(names[0] for names in self.programs)
        return (
            f"`make test` gets it on Debian; elsewhere install {self.package}, so that {names} can be found on "
            f"the PATH, or set {WITHOUT}={self.package} to go without the tests that need it"
        )

    @property
    def missing(self) -> bool:
        return any(_find(names) is None for names in self.programs)


def prometheus() -> Path:
    """Find the Prometheus server; raise MissingToolError, or skip if the operator goes without."""
    return _need(_PROMETHEUS, "prometheus")


def promtool() -> Path:
    """Find the checker of Prometheus' files; raise MissingToolError, or skip if the operator goes without."""
    return _need(_PROMETHEUS, "promtool")


def chromium() -> Path:
    """Find a Chromium; raise MissingToolError, or skip if the operator goes without."""
    return _need(_CHROMIUM, *_CHROMIUM.programs[0])


def main() -> int:
    """Get what is missing; 1 if something still is, and stderr says what and how to get it."""
    without = _without()
    wanted = [tool for tool in (_PROMETHEUS, _CHROMIUM) if tool.missing and tool.package not in without]
    complaints = [complaint for tool in wanted if (complaint := _equip(tool)) is not None]
    sys.stderr.writelines(f"{complaint}\n" for complaint in complaints)
    return 1 if complaints else 0


def _need(tool: _Tool, *names: str) -> Path:
    if tool.package in _without():
        pytest.skip(f"{WITHOUT} names {tool.package}: the operator goes without it")
    found = _find(names)
    if found is None:
        raise MissingToolError(f"There is no {names[0]} here: {tool.remedy}.")
    return found


def _find(names: Sequence[str]) -> Path | None:
    """Look on the PATH first, then in our folder."""
    for path in (None, str(FOLDER)):
        for name in names:
            if found := shutil.which(name, path=path):
                return Path(found)
    return None


def _without() -> frozenset[str]:
    return frozenset(name.strip() for name in os.environ.get(WITHOUT, "").split(","))


def _equip(tool: _Tool) -> str | None:
    """Try to get a tool; say what came in between."""
    if shutil.which("apt-get") is None:
        return f"There is no {tool.package} here, and no apt-get to get it with: {tool.remedy}."
    sys.stdout.write(f"Getting {tool.package} from Debian (once)\n")
    sys.stdout.flush()
    try:
        _know(tool.package)
        _get(tool)
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "stderr", None) or str(error)
        return f"{tool.package} could not be got: {why.strip()}\nSo {tool.remedy}."
    return f"{tool.package} brought no such program: {tool.remedy}." if tool.missing else None


def _know(package: str) -> None:
    """Have apt know the package: its lists may be empty, as in a fresh container."""
    shown = _run("apt-cache", "policy", package)
    if "Candidate:" not in shown or "Candidate: (none)" in shown:
        _as_root(f"apt's lists do not know {package}", "apt-get", "update")


def _get(tool: _Tool) -> None:
    """Get a tool; once more with new lists, for old ones name packages that are no longer kept."""
    try:
        tool.get(tool)
    except subprocess.CalledProcessError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "update")
        tool.get(tool)


def _unpack(tool: _Tool) -> None:
    """Take the programs out of the package; nothing is installed, no service is started, no root is needed."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix="unpacking-") as made:
        _run("apt-get", "download", tool.package, folder=made)
        (archive,) = Path(made).glob("*.deb")
        _run("dpkg", "-x", archive.name, "package", folder=made)
        for (name,) in tool.programs:
            (Path(made) / "package" / _AS_PACKAGED / name).replace(FOLDER / name)


def _install(tool: _Tool) -> None:
    """Install the package: it needs libraries and fonts that only an installation brings."""
    refusal = f"{tool.package} needs to be installed"
    _as_root(refusal, "apt-get", "install", "--yes", "--no-install-recommends", tool.package)


def _as_root(refusal: str, *command: str) -> None:
    if os.geteuid() != 0:
        raise PermissionError(f"{refusal}, and only root may: sudo {' '.join(command)}")
    _run(*command)


def _run(*command: str, folder: str | None = None) -> str:
    environ = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=APT_TIMEOUT_S
    )
    return done.stdout


_PROMETHEUS = _Tool("prometheus", (("prometheus",), ("promtool",)), _unpack)
_CHROMIUM = _Tool(
    "chromium", (("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),), _install
)

if __name__ == "__main__":
    sys.exit(main())
