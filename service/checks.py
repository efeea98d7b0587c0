"""What `/health` and `/health/ready` look at. Every check can fail, and says in its sentence what then to do."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from service.core.wallet import Wallet
from service.ledger.feed import Feed
from service.ledger.ledger import Ledger
from service.web.health import Check, Detail, Ready

LAG_STEPS_MAX = 10_000
FREE_BYTES_MIN = 8 * 1024 * 1024


def free_bytes(folder: Path) -> int:
    """Say how many bytes may still be written to a folder's disk.

    Raises:
        OSError: the folder cannot be looked at.
    """
    return shutil.disk_usage(folder).free


def ready(
    ledger: Ledger,
    folder: Path,
    *,
    is_stopping: Callable[[], bool],
    free_bytes: Callable[[Path], int] = free_bytes,
) -> Ready:
    """Look whether tool calls are taken.

    The ledger's flag of a full disk is cleared by a write alone, and a service that is not ready may get no call
    that writes. So the flag counts only while the folder has less than `FREE_BYTES_MIN`.
    """

    def look() -> tuple[bool, list[str]]:
        reasons = []
        if ledger.failed:
            reasons.append("The ledger's disk failed; see /health.")
        if ledger.full and not _has_room(folder, free_bytes):
            # Whoever asks may have no right to read: the folder is not named.
            reasons.append("The disk is full, no call can be recorded. Free space in the data folder.")
        if is_stopping():
            reasons.append("The service is stopping.")
        return not reasons, reasons

    return look


def store(ledger: Ledger) -> Check:
    """Look at the ledger's disk."""
    detail: Detail = {
        "origin": ledger.origin,
        "epoch": ledger.epoch,
        "waiting": ledger.waiting,
    }
    if ledger.failed:
        sentence = "The ledger's disk failed; no call is taken. Check the disk, then start the service again."
        return Check(name="store", ok=False, sentence=sentence, detail=detail)
    if ledger.full:
        sentence = "The disk is full: the last write found no room. Free space in the data folder."
        return Check(name="store", ok=False, sentence=sentence, detail=detail)
    return Check(name="store", ok=True, sentence=f"Epoch {ledger.epoch}; entries are durable.", detail=detail)


def feed(queue: Feed) -> Check:
    """Look at how far metrics, spans and pages are behind the log."""
    ok = queue.lag <= LAG_STEPS_MAX and queue.failures == 0
    sentence = f"Listeners are {queue.lag} entries behind; {queue.failures} failures since the start."
    detail: Detail = {"lag_steps": queue.lag, "failures": queue.failures, "missed_steps": queue.missed}
    return Check(name="feed", ok=ok, sentence=sentence, detail=detail)


def conservation(unbalanced: Sequence[str]) -> Check:
    """Look at the equations between entries, counters and spans."""
    if unbalanced:
        return Check(name="conservation", ok=False, sentence="Numbers disagree: " + "; ".join(unbalanced))
    return Check(name="conservation", ok=True, sentence="Entries, counters and spans agree.")


def spans(state: str, *, failing: bool, dropped: int) -> Check:
    """Look at the way of spans to the collector."""
    sentence = f"Export is {state}; {dropped} spans were dropped. Calls are not affected."
    return Check(name="spans", ok=not failing, sentence=sentence, detail={"state": state, "dropped": dropped})


def wallets(found: Sequence[Wallet]) -> Check:
    """Look at whether any provider can be asked at all."""
    detail: Detail = {wallet.name: wallet.host for wallet in found}
    if not found:
        sentence = "No key is configured; set KIMI_API_KEY or GLM_API_KEY."
        return Check(name="wallets", ok=False, sentence=sentence, detail=detail)
    named = ", ".join(f"{wallet.name} at {wallet.host}" for wallet in found)
    simulated = "SIMULATED: no real provider is asked. " if any(wallet.simulated for wallet in found) else ""
    return Check(name="wallets", ok=True, sentence=f"{simulated}{named}.", detail=detail)


def _has_room(folder: Path, free_bytes: Callable[[Path], int]) -> bool:
    try:
        return free_bytes(folder) >= FREE_BYTES_MIN
    except OSError:
        return False


def every(*looks: Callable[[], Check]) -> Callable[[], Sequence[Check]]:
    """Put looks together; each is taken anew whenever somebody asks."""
    return lambda: tuple(look() for look in looks)
