"""A place knows its file again, and no other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.ledger.place import Place


def _replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copyfile(path, copy)
    copy.replace(path)


def _write(path: Path) -> None:
    path.write_bytes(b"other bytes")


def _log_goes(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize(
    ("change", "lost"), [(_write, False), (Path.unlink, True), (_replace, True), (_log_goes, True)]
)
def test_a_place_is_lost_with_its_file_or_its_log(
    tmp_path: Path, change: Callable[[Path], object], *, lost: bool
) -> None:
    """What is written into a file leaves it the same file; a copy of it is another."""
    path = tmp_path / "kept"
    for name in ("kept", "kept-wal"):
        (tmp_path / name).touch()
    place = Place(path)
    assert not place.lost
    change(path)
    assert lost == place.lost


def test_what_was_never_there_is_not_lost(tmp_path: Path) -> None:
    """A place without a file or without a log misses neither; a log that comes later does no harm."""
    assert not Place(tmp_path / "none").lost
    (tmp_path / "kept").touch()
    place = Place(tmp_path / "kept")
    for _ in range(2):
        assert not place.lost
        (tmp_path / "kept-wal").touch()
