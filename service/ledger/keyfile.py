"""The signing key's file: 32 secret bytes, made at the first start, readable by their owner alone."""

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path

from service.errors import StoreError

FILE_NAME = "signing.key"
SEED_BYTES = 32
_FILE_BYTES_MAX = 1024


def read(folder: Path) -> bytes | None:
    """Give the seed; None if there is no key.

    Raises:
        StoreError: the file cannot be read or holds no key.
    """
    path = folder / FILE_NAME
    try:
        with path.open("rb") as file:
            seed = base64.b64decode(file.read(_FILE_BYTES_MAX).strip(), validate=True)
    except FileNotFoundError:
        return None
    except (OSError, binascii.Error) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise StoreError(
            f"{path} cannot be read: {why}", remedy="Restore it, or run `exai ledger adopt`."
        ) from error
    if len(seed) != SEED_BYTES:
        raise StoreError(f"{path} holds no key", remedy="Restore it, or take it away and run `exai ledger adopt`.")
    return seed


def create(folder: Path, entropy: Callable[[int], bytes]) -> bytes:
    """Make a key where there is none.

    Raises:
        StoreError: it cannot be written, or there is one.
    """
    path, seed = folder / FILE_NAME, entropy(SEED_BYTES)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(descriptor, base64.b64encode(seed) + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}", remedy="Free space in the data folder."
        ) from error
    return seed
