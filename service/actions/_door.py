"""The door: where a running service is asked by commands on its machine, and in which words it says no."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from service.errors import ActionError

FILE_NAME = "control.sock"
ROOT = "/v1/"
BODY_BYTES_MAX = 2**20
LIFE_S = 10.0
"""Between two signs of life of an action that is under way."""
SILENCE_S = 60.0
"""After so long without a sign of life nobody is there."""
_ON_LINUX = sys.platform == "linux"
_PATH_BYTES_MAX = 107 if _ON_LINUX else 103  # source: unix(7), sun_path with its closing zero; less on BSD


class Problem(msgspec.Struct, frozen=True):
    """Why something was not done: the parts of an error of the service's family."""

    code: str
    message: str
    remedy: str = ""
    retryable: bool = False


@contextmanager
def address(folder: Path) -> Iterator[str]:
    """Give the path of a folder's door that a socket can be bound or connected to while the context lasts.

    Raises:
        ActionError: the path is longer than a socket's may be here, and this system knows no way around.
        OSError: there is no such folder.
    """
    path = folder / FILE_NAME
    if len(os.fsencode(path)) <= _PATH_BYTES_MAX:
        yield str(path)
        return
    if not _ON_LINUX:
        raise ActionError(
            f"the path of {path} is too long for a socket on this system",
            remedy="Set EXAI_DATA_DIR to a folder with a shorter path.",
        )
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{opened}/{FILE_NAME}"
    finally:
        os.close(opened)


def bind(folder: Path) -> socket.socket:
    """Make a folder's door and listen behind it, for nobody but its owner from the first moment.

    A door that is there already is of a process that is dead: whoever calls this holds the folder's lock.

    Raises:
        ActionError: as `address`.
        OSError: the folder can hold no socket, or something else has the door's name.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if (folder / FILE_NAME).is_socket():
            (folder / FILE_NAME).unlink()
        with address(folder) as path:
            before = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
        listener.listen()
    except BaseException:
        listener.close()
        raise
    return listener


def connect(folder: Path) -> socket.socket:
    """Knock at a folder's door.

    Raises:
        ActionError: as `address`.
        OSError: there is none, or nobody behind it, or it is not for us.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        caller.settimeout(SILENCE_S)
        with address(folder) as path:
            caller.connect(path)
    except BaseException:
        caller.close()
        raise
    return caller
