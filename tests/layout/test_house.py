"""The house rules that a machine can judge: sizes, names, READMEs, plugs, links."""

import ast
import importlib
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

import service.providers
from service.plugs import load
from service.settings import markdown

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("service", "console", "otel", "grafana")
LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN = 15
PLUGS = (
    ("service.providers", "PROVIDER"),
    ("service.tools", "TOOL"),
    ("service.actions", "ACTION"),
    ("service.cli", "COMMAND"),
    ("console.pages", "PAGE"),
)
AT_THE_ROOT = {"service", "console", "otel", "grafana", "tests", "requirements"}
NO_NAMES = {"manager", "helper", "helpers", "utils", "util", "misc", "todo", "fixme"}
LATER = re.compile("TO" + "DO|FIX" + "ME")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


class Function(NamedTuple):
    """One function, and how long it is."""

    file: str
    name: str
    lines: int


def python_files(*folders: str) -> list[Path]:
    """List the Python files of folders at the root."""
    return sorted(chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders))


def shown(path: Path) -> str:
    """Write a path as a person in the project would."""
    return path.relative_to(ROOT).as_posix()


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Give every function and class of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def functions(*folders: str) -> list[Function]:
    """Measure every function, its decorators aside."""
    return [
        Function(shown(path), node.name, (node.end_lineno or node.lineno) - node.lineno + 1)
        for path in python_files(*folders)
        for node in definitions(path)
        if not isinstance(node, ast.ClassDef)
    ]


def rooms() -> list[Path]:
    """List the rooms that there are: folders with code."""
    found = [path for path in (ROOT / "service").iterdir() if any(path.glob("*.py"))]
    return sorted([*found, ROOT / "console", ROOT / "otel", ROOT / "grafana"])


def documents() -> list[Path]:
    """List the documents: at the root and in every folder of ours."""
    return sorted([*ROOT.glob("*.md"), *chain.from_iterable((ROOT / name).rglob("*.md") for name in AT_THE_ROOT)])


def words(name: str) -> set[str]:
    """Take a name apart, whether it is written like_this or LikeThis."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


def anchors(document: Path) -> set[str]:
    """Write the anchors that a document's headings make."""
    headings = re.findall(r"^#+ +(.+?) *$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_file_is_longer_than_the_wall() -> None:
    """A file answers one question; 400 lines are too many for one."""
    lengths = {
        shown(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*PACKAGES, "tests")
    }
    assert {} == {name: lines for name, lines in lengths.items() if lines > LINES_MAX}


def test_no_function_is_longer_than_a_page() -> None:
    """A function that needs scrolling is two."""
    assert [] == [found for found in functions(*PACKAGES, "tests") if found.lines > FUNCTION_LINES_MAX]


def test_functions_are_short() -> None:
    """The median function of what runs is at most 15 lines long."""
    assert median(found.lines for found in functions(*PACKAGES)) <= FUNCTION_LINES_MEDIAN


def test_every_room_has_a_readme() -> None:
    """Who enters a room is told what it is."""
    assert [] == [shown(room) for room in rooms() if not (room / "README.md").is_file()]


def test_no_code_is_where_nobody_expects_it() -> None:
    """The folders at the root are a closed list; what is in the service, the layers name."""
    found = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/**/*.py")}
    assert set() == found - AT_THE_ROOT


def test_the_readme_shows_the_settings_as_they_are() -> None:
    """The README holds the table that the settings write of themselves, every field in it."""
    providers = load(service.providers, "PROVIDER").values()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    missing = [row for row in markdown(providers).splitlines() if row not in readme]
    assert [] == missing, "\n".join(missing)


@pytest.mark.parametrize(("folder", "constant"), PLUGS)
def test_every_plug_loads_and_bears_its_files_name(folder: str, constant: str) -> None:
    """A folder of plugs holds plugs and, behind an underscore, what they share."""
    package = importlib.import_module(folder)
    files = {path.stem for path in Path(str(package.__file__)).parent.glob("[!_]*.py")}
    assert files == {name.replace("-", "_").replace(" ", "_") for name in load(package, constant)}


def test_nobody_else_owns_our_packages_names() -> None:
    """The names are common words; another distribution that brings one would be imported instead."""
    owners = packages_distributions()
    assert set() == {owner for package in PACKAGES for owner in owners.get(package, ())} - {"exai"}


def test_names_say_something() -> None:
    """No file, class or function is named after nothing."""
    files = python_files(*PACKAGES, "tests")
    named = [(shown(path), path.stem) for path in files]
    named += [(shown(path), node.name) for path in files for node in definitions(path)]
    assert [] == [(file, name) for file, name in named if words(name) & NO_NAMES]


def test_nothing_is_left_for_later() -> None:
    """What is not done is written where work is planned, not in the code."""
    files = [*python_files(*PACKAGES, "tests"), ROOT / "Makefile", ROOT / "pyproject.toml"]
    assert [] == [shown(path) for path in files if LATER.search(path.read_text(encoding="utf-8"))]


def test_every_link_of_a_document_leads_somewhere() -> None:
    """A link inside the project names a file that is there, and a heading that is in it."""
    dead = []
    for document in documents():
        for link in LINK.findall(document.read_text(encoding="utf-8")):
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            path = (document.parent / target).resolve() if target else document
            if not path.exists() or (anchor and anchor not in anchors(path)):
                dead.append(f"{shown(document)}: {link}")
    assert [] == dead
