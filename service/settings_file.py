"""`exai.toml` and other small files of the operator: read within bounds, each place in them named for errors."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from service.errors import SettingsError

FILE_BYTES_MAX = 1 << 20
SHOWN_CHARS_MAX = 80


class ConfigFile:
    """`exai.toml`, parsed, and able to tell on which line a key stands."""

    def __init__(self, path: Path | None) -> None:
        self.folder = path.parent if path else Path()
        self.path = path
        self._text = read_text("the configuration", path) if path else ""
        try:
            self.values: dict[str, Any] = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"{path} is no TOML: {error}", remedy="Repair the line that it names.") from error

    def tables(self, name: str) -> list[Mapping[str, Any]]:
        """Give every `[[name]]`.

        Raises:
            SettingsError: there is something else of this name.
        """
        found = self.values.get(name, [])
        if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
            raise SettingsError(f"{self.place(name)}: {name} is no table", remedy=f"Begin each with [[{name}]].")
        return found

    def place(self, key: str, nth: int | None = None, *, of: str = "wallet") -> str:
        """Say the file and, if it can be found, the line of a key: at the top, or in the nth `[[of]]`."""
        line = self._line(key, nth, of)
        return f"{self.path} line {line}" if line else str(self.path)

    def _line(self, key: str, nth: int | None, of: str) -> int | None:
        table: int | str | None = None
        count = 0
        for number, line in enumerate(self._text.splitlines(), 1):
            if header := re.match(r"\s*\[\[?\s*[\"']?([^\]\"'.\s]+)", line):
                table, count = (count, count + 1) if header[1] == of else (header[1], count)
                if header[1] == key and nth in (None, table):
                    return number
            elif table == nth and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return number
        return None


def read_text(where: str, path: Path) -> str:
    """Read a small text file.

    Raises:
        SettingsError: it is not there, too long, or no text; the error names `where` it was said.
    """
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        if len(content) > FILE_BYTES_MAX:
            raise SettingsError(f"{where}: {path} is too long", remedy="Name the right file.")
        return content.decode()
    except OSError as error:
        raise SettingsError(
            f"{where}: {path} cannot be read: {error.strerror}", remedy="Check its name and rights."
        ) from error
    except UnicodeDecodeError:  # its text holds the file's content
        raise SettingsError(f"{where}: {path} is no UTF-8 text", remedy="Name the right file.") from None


def expanded(path: Path, environ: Mapping[str, str]) -> Path:
    """Put the home folder of this environment in place of a leading `~`."""
    if path.parts[:1] != ("~",):
        return path
    return Path(environ.get("HOME") or Path.home(), *path.parts[1:])


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant."""
    close = difflib.get_close_matches(name, tuple(known), n=1)
    return f"Did you mean {close[0]}?" if close else "The README's table lists what there is."


def shown(value: object) -> str:
    """Show a value in an error: short, and without the user part of a URL."""
    text = re.sub(r"//[^/@\s]*@", "//…@", repr(value))
    return text if len(text) <= SHOWN_CHARS_MAX else text[: SHOWN_CHARS_MAX - 1] + "…"
