"""The signing key's file: 32 secret bytes, made at the first start, readable by their owner alone."""

import base64
import binascii
import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path

from service.errors import StoreError

FILE_NAME = "signing.key"
SEED_BYTES = 32
_FILE_BYTES_MAX = 1024
_ASIDE = ".aside-"


def read(folder: Path) -> bytes | None:
    """Give the seed; None if there is no key.

    Raises:
        StoreError: the file cannot be read or holds no key.
    """
    content = _content(folder)
    seed = None if content is None else _seed(content)
    if content is not None and seed is None:
        raise StoreError(f"{folder / FILE_NAME} holds no key", remedy="Restore it, or run `exai ledger adopt`.")
    return seed


def is_torn(folder: Path) -> bool:
    """Tell whether there is a file that can be read and holds no key.

    Raises:
        StoreError: it cannot be read.
    """
    content = _content(folder)
    return content is not None and _seed(content) is None


def create(folder: Path, entropy: Callable[[int], bytes]) -> bytes:
    """Make a key where there is none: after a crash there is the whole key or none. The caller holds the folder.

    Raises:
        StoreError: it cannot be written, or there is one.
    """
    path, seed = folder / FILE_NAME, entropy(SEED_BYTES)
    fresh = path.with_name(f"{FILE_NAME}.new")
    try:
        if path.exists():
            raise FileExistsError(errno.EEXIST, "there is one")
        fresh.unlink(missing_ok=True)  # what an earlier attempt left
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(seed) + b"\n")
            file.flush()
            os.fsync(descriptor)
        fresh.rename(path)
        _sync(folder)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", remedy="Free space in the data folder."
        ) from error
    return seed


def set_aside(folder: Path) -> None:
    """Give a file that holds no key another name: it is never overwritten.

    Raises:
        StoreError: it cannot be renamed.
    """
    path = folder / FILE_NAME
    names = (path.with_name(f"{FILE_NAME}{_ASIDE}{number}") for number in itertools.count(1))
    try:
        path.rename(next(name for name in names if not name.exists()))
        _sync(folder)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be moved aside: {error.strerror}", remedy="Make the data folder writable."
        ) from error


def _content(folder: Path) -> bytes | None:
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}", remedy="Restore it, or run `exai ledger adopt`."
        ) from error


def _seed(content: bytes) -> bytes | None:
    try:
        seed = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        return None
    return seed if len(seed) == SEED_BYTES else None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
