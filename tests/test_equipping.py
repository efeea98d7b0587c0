"""Tools are found, got once, or asked for in plain words; a missing one fails and is never silently skipped."""

import os
from pathlib import Path

import pytest

from tests import equipping
from tests.equipping import MissingToolError

POLICY = "  Candidate: 2.42.0\n"


class Machine:
    """A machine on which nothing is installed but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "bin"
        self.tools = folder / "tools"
        self.said = folder / "said"
        self.path.mkdir()

    def install(self, name: str, script: str = "") -> Path:
        """Put a program on the PATH that notes how it was run."""
        program = self.path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.said}\n{script}\n')
        program.chmod(0o755)
        return program

    def debian(self) -> None:
        """Make it a Debian that knows the package and can give it."""
        unpacked = "mkdir -p package/usr/bin; for name in prometheus promtool; do"
        unpacked += " echo '#!/bin/sh' > package/usr/bin/$name; chmod +x package/usr/bin/$name; done"
        self.install("apt-cache", f"echo '{POLICY.strip()}'")
        self.install("apt-get", '[ "$1" = download ] && : > "$2_1_all.deb"; exit 0')
        self.install("dpkg", unpacked)

    @property
    def runs(self) -> list[str]:
        """What was run."""
        return self.said.read_text().splitlines() if self.said.exists() else []


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine on which nothing is."""
    bare = Machine(tmp_path)
    system = f"{bare.path}{os.pathsep}{_only('mkdir', 'chmod', 'cp', tmp_path / 'system')}"
    monkeypatch.setenv("PATH", system)
    monkeypatch.delenv(equipping.WITHOUT, raising=False)
    monkeypatch.setattr(equipping, "FOLDER", bare.tools)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return bare


def _only(*names: object) -> Path:
    """Offer a few of the system's own programs and no other."""
    *programs, folder = names
    assert isinstance(folder, Path)
    folder.mkdir()
    for name in map(str, programs):
        found = next(path for path in (Path("/bin") / name, Path("/usr/bin") / name) if path.exists())
        (folder / name).symlink_to(found)
    return folder


def test_what_is_on_the_path_is_taken(machine: Machine) -> None:
    """A tool that the machine has is used, under any of its names, and nothing is run to get it."""
    programs = [machine.install(name) for name in ("prometheus", "promtool", "google-chrome")]
    assert programs == [equipping.prometheus(), equipping.promtool(), equipping.chromium()]
    assert 0 == equipping.main()
    assert [] == machine.runs


def test_a_missing_tool_fails_with_its_remedy(machine: Machine) -> None:
    """The error names the tool, what to install and how to go without."""
    assert not machine.tools.exists()
    with pytest.raises(MissingToolError, match=r"no promtool.*install prometheus.*EXAI_WITHOUT=prometheus"):
        equipping.promtool()
    with pytest.raises(MissingToolError, match=r"no chromium.*install chromium.*EXAI_WITHOUT=chromium"):
        equipping.chromium()


def test_only_an_operator_can_go_without(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What EXAI_WITHOUT names is skipped and not got; the rest still fails."""
    monkeypatch.setenv(equipping.WITHOUT, "prometheus, other")
    with pytest.raises(pytest.skip.Exception, match="the operator goes without it"):
        equipping.prometheus()
    with pytest.raises(MissingToolError):
        equipping.chromium()
    monkeypatch.setenv(equipping.WITHOUT, "prometheus,chromium")
    assert 0 == equipping.main()
    assert [] == machine.runs


def test_prometheus_is_unpacked_once_and_not_installed(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without root the package is downloaded and unpacked into our folder; the second run does nothing."""
    machine.debian()
    assert 1 == equipping.main()  # chromium needs root
    assert "only root may: sudo apt-get install --yes --no-install-recommends chromium" in capsys.readouterr().err
    assert [machine.tools / "prometheus", machine.tools / "promtool"] == sorted(machine.tools.iterdir())
    assert machine.tools / "promtool" == equipping.promtool()
    runs = [line for line in machine.runs if "chromium" not in line]
    assert ["apt-cache policy prometheus", "apt-get download prometheus"] == runs[:2]
    assert runs[2].startswith("dpkg -x prometheus_1_all.deb")
    machine.install("chromium")
    machine.said.unlink()
    assert 0 == equipping.main()
    assert [] == machine.runs


def test_root_installs_and_reads_empty_lists_anew(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh container's apt knows nothing: its lists are read first, by root alone."""
    monkeypatch.setenv(equipping.WITHOUT, "prometheus")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.install("apt-cache")
    machine.install(
        "apt-get", f'[ "$1" = install ] && : > {machine.path}/chromium && chmod +x {machine.path}/chromium; :'
    )
    assert 0 == equipping.main()
    assert [
        "apt-cache policy chromium",
        "apt-get update",
        "apt-get install --yes --no-install-recommends chromium",
    ] == machine.runs


def test_root_reads_old_lists_anew(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists that name a package which is no longer kept are read anew, and the package is asked for once more."""
    monkeypatch.setenv(equipping.WITHOUT, "prometheus")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    machine.debian()
    new = machine.tools.parent / "new"
    grown = f"cp {machine.path}/apt-get {machine.path}/chromium"
    machine.install("apt-get", f'case "$1" in update) : > {new};; install) [ -e {new} ] && {grown};; esac')
    (machine.path / "cp").symlink_to(
        next(path for path in (Path("/bin/cp"), Path("/usr/bin/cp")) if path.exists())
    )
    assert 0 == equipping.main()
    asked = [run.split()[1] for run in machine.runs if run.startswith("apt-get")]
    assert ["install", "update", "install"] == asked


def test_elsewhere_it_says_what_cannot_be_got(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no apt-get, and where it fails, stderr holds the reason and the remedy."""
    assert 1 == equipping.main()
    told = capsys.readouterr().err
    assert 2 == told.count("no apt-get to get it with: ")
    machine.debian()
    machine.install("apt-get", "echo 'no space left' >&2; exit 100")
    assert 1 == equipping.main()
    assert "prometheus could not be got: no space left" in capsys.readouterr().err
