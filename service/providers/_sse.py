"""Server-sent events without a socket: bytes in, the data of each event out.

Source: the event stream format of the HTML standard (html.spec.whatwg.org, section 9.2). Only `data` is
used by the providers here; `event`, `id` and `retry` are understood and passed over.
"""

import re

LINE_BYTES_MAX = 1 << 20
EVENT_BYTES_MAX = 4 << 20

_ENDS = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")


class Events:
    """The events of one stream, however its bytes were cut into chunks.

    Attributes:
        strange_lines: how many lines were no part of an event stream, and events too long to be kept.
    """

    def __init__(self, *, line_bytes_max: int = LINE_BYTES_MAX, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self.strange_lines = 0
        self._line_bytes_max = line_bytes_max
        self._event_bytes_max = event_bytes_max
        self._line = bytearray()
        self._too_long = False
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_return = False
        self._first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take bytes; return the data of each event that they complete."""
        if not chunk:
            return []
        if self._after_return and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_return = chunk.endswith(b"\r")
        head, *tails = _ENDS.split(chunk)
        self._extend(head)
        payloads = []
        for tail in tails:
            payload = self._end_line()
            if payload is not None:
                payloads.append(payload)
            self._extend(tail)
        return payloads

    def rest(self) -> bytes | None:
        """Give the data of an event that was cut before its blank line; None if there is none.

        The standard drops such an event. Here it may hold the usage of a paid answer, so it is offered,
        and whoever reads it must judge whether it is whole.
        """
        line = bytes(self._line)
        name = line.partition(b":")[0]
        if self._too_long:
            self._void_event()
        elif line.startswith(b"data:"):
            self._take_data(line)
        elif not any(field.startswith(name) for field in _FIELDS):
            self.strange_lines += 1
        self._line.clear()
        return self._end_event()

    def _extend(self, piece: bytes) -> None:
        if len(self._line) + len(piece) > self._line_bytes_max:
            self._too_long = True
            self._line.clear()
        if not self._too_long:
            self._line += piece

    def _end_line(self) -> bytes | None:
        line, too_long = bytes(self._line), self._too_long
        self._line.clear()
        self._too_long = False
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if too_long:
            self._void_event()
        elif not line:
            return self._end_event()
        elif line.partition(b":")[0] == b"data":
            self._take_data(line)
        elif not line.startswith(b":") and line.partition(b":")[0] not in _FIELDS:
            self.strange_lines += 1
        return None

    def _take_data(self, line: bytes) -> None:
        value = line.partition(b":")[2].removeprefix(b" ")
        self._data_bytes += len(value) + 1
        if self._data_bytes <= self._event_bytes_max:
            self._data.append(value)

    def _void_event(self) -> None:
        """Give up the event that a line belongs to: what is left of it might read as something else."""
        self._data_bytes = self._event_bytes_max + 1

    def _end_event(self) -> bytes | None:
        whole = self._data_bytes <= self._event_bytes_max
        if not whole:
            self.strange_lines += 1
        payload = b"\n".join(self._data) if self._data and whole else None
        self._data.clear()
        self._data_bytes = 0
        return payload
