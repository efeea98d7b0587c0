"""A plug is one file of a folder; a malformed one stops the start and is named."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from service.errors import PlugError
from service.plugs import load

Folder = Callable[..., ModuleType]
GOOD = "class Plug:\n    name = {name!r}\n    def run(self): ...\nTOOL = Plug()\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    """Make a package of files, given by name and text, that nobody imported before."""
    name = "plugs_of_a_test"

    def make(**files: str) -> ModuleType:
        package = tmp_path / name
        package.mkdir()
        for file, text in ({"__init__": ""} | files).items():
            (package / f"{file}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        return importlib.import_module(name)

    monkeypatch.syspath_prepend(tmp_path)
    yield make
    for loaded in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[loaded]


def test_every_file_is_a_plug_by_its_name(folder: Folder) -> None:
    """Plugs come in the order of their files; a dash in a name is an underscore in the file's."""
    package = folder(zebra=GOOD.format(name="zebra"), ant_eater=GOOD.format(name="ant-eater"))
    found = load(package, "TOOL", "run")
    assert list(found) == ["ant-eater", "zebra"]
    assert found["zebra"].name == "zebra"


def test_an_empty_folder_has_no_plugs(folder: Folder) -> None:
    """Nothing is required to be there."""
    assert load(folder(), "TOOL") == {}


def test_what_is_not_a_plug_is_passed_over(folder: Folder) -> None:
    """Files that begin with an underscore and folders are neither imported nor asked for a plug."""
    package = folder(_shared="raise RuntimeError", chat=GOOD.format(name="chat"))
    (Path(package.__path__[0]) / "inner").mkdir()
    (Path(package.__path__[0]) / "inner" / "__init__.py").write_text("raise RuntimeError", encoding="utf-8")
    assert list(load(package, "TOOL")) == ["chat"]


@pytest.mark.parametrize(
    ("text", "why", "remedy"),
    [
        ("def (", "plugs_of_a_test.chat cannot be loaded: SyntaxError", "Repair or remove plugs_of_a_test.chat."),
        ("import not_there_at_all", "plugs_of_a_test.chat cannot be loaded: ModuleNotFoundError", "Repair"),
        ("1 / 0", "plugs_of_a_test.chat cannot be loaded: ZeroDivisionError", "Repair"),
        ("", "plugs_of_a_test.chat defines no TOOL", "Define TOOL, or begin the file's name with _."),
        ("TOOL = object()", "the plug of plugs_of_a_test.chat has no 'name'", "Add name to it."),
        ("class TOOL:\n    name = 'chat'", "the plug of plugs_of_a_test.chat has no 'run'", "Add run to it."),
        (GOOD.format(name="talk"), "plugs_of_a_test.chat defines TOOL with the name 'talk'", "the same name"),
        (GOOD.format(name=7), "plugs_of_a_test.chat defines TOOL with the name 7", "the same name"),
    ],
)
def test_a_malformed_file_is_named_with_its_remedy(folder: Folder, text: str, why: str, remedy: str) -> None:
    """The start stops, and the error says which file it was and what to do."""
    package = folder(chat=text, good=GOOD.format(name="good"))
    with pytest.raises(PlugError) as raised:
        load(package, "TOOL", "run")
    assert why in str(raised.value)
    assert remedy in raised.value.remedy
