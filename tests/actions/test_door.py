"""The door: a socket for its owner alone, from the first moment, wherever the data folder is."""

import os
import socket
import stat
from pathlib import Path

import pytest

from service.actions import _door
from service.errors import ActionError


def test_the_door_is_its_owner_s_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made with mode 0600, not given it later; the process's own mask is as before."""
    before = os.umask(0)
    monkeypatch.setattr(os, "chmod", None)
    try:
        with _door.bind(tmp_path):
            mode = (tmp_path / _door.FILE_NAME).lstat().st_mode
            assert (True, 0o600) == (stat.S_ISSOCK(mode), stat.S_IMODE(mode))
            assert 0 == os.umask(0)
    finally:
        os.umask(before)


def test_who_knocks_is_heard(tmp_path: Path) -> None:
    """What is sent at one end comes out at the other."""
    with _door.bind(tmp_path) as door, _door.connect(tmp_path) as caller:
        heard, _ = door.accept()
        with heard:
            caller.sendall(b"hello")
            assert b"hello" == heard.recv(5)


def test_a_dead_process_s_door_is_replaced(tmp_path: Path) -> None:
    """Nobody is behind it, and the next one opens all the same."""
    _door.bind(tmp_path).close()
    with pytest.raises(ConnectionRefusedError):
        _door.connect(tmp_path)
    with _door.bind(tmp_path), _door.connect(tmp_path):
        pass


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    """What is no socket is somebody's."""
    (tmp_path / _door.FILE_NAME).write_text("mine")
    with pytest.raises(OSError, match="in use"):
        _door.bind(tmp_path)
    assert "mine" == (tmp_path / _door.FILE_NAME).read_text()


@pytest.mark.parametrize("chars", [107, 108, 300])
def test_a_long_path(tmp_path: Path, chars: int) -> None:
    """A path of any length will do, on Linux; no file descriptor is left."""
    folder = tmp_path
    while (missing := chars - len(str(folder / _door.FILE_NAME))) > 0:
        folder /= "x" * min(100, max(1, missing - 1))
        folder.mkdir()
    opened = len(list(Path("/proc/self/fd").iterdir()))
    with _door.bind(folder), _door.connect(folder):
        assert opened + 2 == len(list(Path("/proc/self/fd").iterdir()))
    assert stat.S_ISSOCK((folder / _door.FILE_NAME).lstat().st_mode)


def test_a_long_path_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without /proc says what to do."""
    monkeypatch.setattr(_door, "_ON_LINUX", False)
    monkeypatch.setattr(_door, "_PATH_BYTES_MAX", 10)
    with pytest.raises(ActionError, match="too long for a socket") as caught:
        _door.bind(tmp_path)
    assert "EXAI_DATA_DIR" in caught.value.remedy


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """There is no door."""
    with pytest.raises(FileNotFoundError):
        _door.connect(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        _door.connect(tmp_path / ("x" * 120))


def test_a_silent_service_is_given_up(tmp_path: Path) -> None:
    """Whoever knocks has a deadline."""
    with _door.bind(tmp_path), _door.connect(tmp_path) as caller:
        assert _door.SILENCE_S == caller.gettimeout()
        assert socket.AF_UNIX == caller.family
