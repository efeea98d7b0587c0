"""Our own parts: the ledger and its disk, the feed, the counters, the way of spans; and whether calls are taken.

Every check can fail, and says in its sentence what then to do.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from service.core.times import NS_PER_S, utc_ns
from service.ledger import ballast
from service.ledger.ballast import free_bytes
from service.ledger.feed import Feed
from service.ledger.ledger import WAITING_MAX, Ledger
from service.ledger.place import Place
from service.ledger.sqlite import FILE_NAME
from service.web.health import Check, Detail, Ready, State

LAG_STEPS_MAX = 10_000
WAITING_SLOW = WAITING_MAX // 2
FREE_BYTES_MIN = ballast.ROOM_FACTOR * ballast.SIZE_BYTES  # less does not bring calls back
FREE_BYTES_LOW = 256 * 1024 * 1024
_MIB = 1024 * 1024
_FILES = (FILE_NAME, f"{FILE_NAME}-wal")


class LedgerFile:
    """The ledger's file, as it was when this was made: no call is taken once it has gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._place = Place(folder / FILE_NAME)

    @property
    def gone(self) -> bool:
        """Whether it was moved, deleted or replaced since; False if there was none to begin with."""
        return self._place.lost

    @property
    def read_only(self) -> bool:
        """Whether its disk may only be read now."""
        try:
            return bool(os.statvfs(self._folder).f_flag & os.ST_RDONLY)
        except OSError:
            return False  # a folder that cannot be looked at is told by `gone` and by `disk`


def ready(
    ledger: Ledger,
    folder: Path,
    *,
    is_stopping: Callable[[], bool],
    free_bytes: Callable[[Path], int] = free_bytes,
) -> Ready:
    """Look whether tool calls are taken.

    The ledger's flag of a full disk is cleared by a call alone, and a service that is not ready may get none. So
    the flag counts only while the folder has less than `FREE_BYTES_MIN`, which is what a call needs to clear it.
    """
    file = LedgerFile(folder)

    def look() -> tuple[bool, list[str]]:
        reasons = []
        if ledger.failed:
            reasons.append("The ledger's disk failed; see /health.")
        if file.gone:
            reasons.append("The ledger's file was moved, deleted or replaced; see /health.")
        if ledger.full and not _has_room(folder, free_bytes):
            # Whoever asks may have no right to read: the folder is not named.
            reasons.append("The disk is full, no call can be recorded. Free space in the data folder.")
        if is_stopping():
            reasons.append("The service is stopping.")
        return not reasons, reasons

    return look


def store(ledger: Ledger, file: LedgerFile, *, last_at: str | None, now_ns: int) -> Check:
    """Look at whether entries become durable where the next start will look for them.

    Args:
        ledger: the writer.
        file: what it writes to.
        last_at: when the log's last entry was written.
        now_ns: the wall time.
    """
    age_s = None if last_at is None else max(0, (now_ns - utc_ns(last_at)) // NS_PER_S)
    wrong = _wrong(ledger, file)
    written = "" if age_s is None else f", the last was written {age_s} s ago"
    detail: Detail = {
        "origin": ledger.origin,
        "epoch": ledger.epoch,
        "waiting": ledger.waiting,
        "ballast_used": ledger.writer.cramped,
        "last_write_at": last_at,
        "last_write_age_s": age_s,
    }
    return Check(
        name="store",
        state=State.DEGRADED if wrong else State.OK,
        sentence=wrong or f"Epoch {ledger.epoch}; entries are durable{written}.",
        detail=detail,
    )


def _wrong(ledger: Ledger, file: LedgerFile) -> str | None:
    if file.gone:
        return (
            "The ledger's file was moved, deleted or replaced under the service; no call is taken."
            " Restore the data folder, the ledger's file and its -wal together; then start the service again."
        )
    if ledger.failed:
        return "The ledger's disk failed; no call is taken. Check the disk, then start the service again."
    if ledger.full:
        return _full(ledger)
    if file.read_only:
        return "The disk can only be read now. Look for its error in the system's log, and mount it writable."
    if ledger.waiting >= WAITING_SLOW:
        return (
            f"{ledger.waiting} appends wait for the disk, which is too slow; from {WAITING_MAX} on none is taken."
        )
    return None


def _full(ledger: Ledger) -> str:
    kept = ledger.writer.ballast
    if kept is None or kept.present:
        return "The disk is full: the last write found no room. Free space in the data folder."
    return (
        "The ballast is used: the disk is full or nearly so, no call is taken, and calls that were open end in the"
        f" room that was kept for that. {kept.remedy}"
    )


def disk(folder: Path) -> Check:
    """Look at the room that is left, and say so before the disk is full."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        sentence = f"The data folder cannot be looked at: {error.strerror}. Check that its disk is mounted."
        return Check(name="disk", state=State.DEGRADED, sentence=sentence)
    held_bytes = sum(_size_bytes(folder / name) for name in _FILES)
    share = usage.free / usage.total if usage.total else 0.0
    low = usage.free < FREE_BYTES_LOW
    sentence = f"{usage.free // _MIB} MiB are free, {share:.0%} of the disk;"
    sentence += f" the ledger takes {held_bytes / _MIB:.1f} MiB."
    if low:
        sentence += f" Make it {FREE_BYTES_LOW // _MIB} MiB or more: when the disk is full, calls are refused."
    return Check(
        name="disk",
        state=State.DEGRADED if low else State.OK,
        sentence=sentence,
        detail={"free_bytes": usage.free, "total_bytes": usage.total, "ledger_bytes": held_bytes},
    )


def feed(queue: Feed) -> Check:
    """Look at how far metrics, spans and pages are behind the log."""
    ok = queue.lag <= LAG_STEPS_MAX and queue.failures == 0
    sentence = f"Listeners are {queue.lag} entries behind; {queue.failures} failures since the start."
    if not ok:
        sentence += " Metrics, spans and this page may be wrong; the ledger is not. See the service's log."
    detail: Detail = {"lag_steps": queue.lag, "failures": queue.failures, "missed_steps": queue.missed}
    return Check(name="feed", state=State.OK if ok else State.DEGRADED, sentence=sentence, detail=detail)


def conservation(unbalanced: Sequence[str]) -> Check:
    """Look at the equations between entries, counters and spans."""
    if unbalanced:
        sentence = "Numbers disagree: " + "; ".join(unbalanced)
        return Check(name="conservation", state=State.DEGRADED, sentence=sentence)
    return Check(name="conservation", state=State.OK, sentence="Entries, counters and spans agree.")


def spans(state: State, *, exported: int, dropped: int) -> Check:
    """Look at the way of spans to the collector."""
    sentence = {
        State.OFF: "No collector is configured, so no span leaves; set OTEL_EXPORTER_OTLP_ENDPOINT to have them.",
        State.UNKNOWN: "A collector is configured, and no span was sent yet.",
        State.DEGRADED: "The collector takes no spans: check OTEL_EXPORTER_OTLP_ENDPOINT. Calls are not affected.",
        State.OK: f"The collector has taken {exported} spans.",
    }[state]
    if dropped:
        sentence += f" {dropped} were dropped since the start."
    return Check(name="spans", state=state, sentence=sentence, detail={"exported": exported, "dropped": dropped})


def _has_room(folder: Path, free_bytes: Callable[[Path], int]) -> bool:
    try:
        return free_bytes(folder) >= FREE_BYTES_MIN
    except OSError:
        return False


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
