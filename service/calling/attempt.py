"""One attempt: intent, request, answer, end. Whatever happens to its caller, its end is written down."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from http import HTTPStatus

import msgspec

from service.calling.connection import Head, LostError
from service.calling.ending import Outcome, ending
from service.calling.journal import Journal
from service.calling.routing import Route
from service.calling.wire import UnsentError, Wire
from service.core.entries import AcceptedEntry, End, IntentEntry
from service.core.evidence import Commitment, Timing, kept_headers
from service.core.record import SIMULATOR_HEADER
from service.core.shapes import Answer, AnswerReader, Clock, Prepared
from service.core.times import NS_PER_US
from service.core.words import DoubtCause, UnsentReason

ERROR_BODY_BYTES_MAX = 64 * 2**10

_log = logging.getLogger(__name__)


class NotIntendedError(AssertionError):
    """A request was about to be sent whose intent is not durable: a fault of ours. Nothing is sent."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, what was read of its answer, and whether text of it has reached the client."""

    entry: End
    answer: Answer
    text_sent: bool


class Attempting:
    """One attempt under way. `run` must be the whole of a task of its own; `stop` may end it early.

    Args:
        wire: sends it.
        clock: times it.
        journal: its call's.
        route: where it goes.
        prepared: what is sent.
        intent: what is written first.
        on_text: gets the answer's text as it arrives; None reads a whole answer.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        clock: Clock,
        journal: Journal,
        route: Route,
        prepared: Prepared,
        intent: IntentEntry,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self._wire = wire
        self._clock = clock
        self._journal = journal
        self._route = route
        self._prepared = prepared
        self._intent = intent
        self._on_text = on_text
        self._reader: AnswerReader = route.provider.reader(stream=intent.stream)
        self._hash = hashlib.sha256(journal.salt)
        self._body_bytes = 0
        self._error_body = bytearray()
        self._head: Head | None = None
        self._headers: dict[str, str] = {}
        self._text_sent = False
        self._began_ns = 0
        self._at_us: dict[str, int] = {}
        self._task: asyncio.Task[Ended] | None = None  # set while the exchange may be stopped
        self._stopped: DoubtCause | None = None

    async def run(self) -> Ended:
        """Make the intent durable, send, read, and note the end.

        Raises:
            BudgetStopError: a budget does not allow it; nothing was sent.
            NotRecordedError: the intent could not be made durable; nothing was sent.
        """
        await self._journal.intend(self._intent)
        self._began_ns = self._clock.monotonic_ns()
        failure = await self._exchange()
        answer, entry = self._judge(failure)
        self._journal.end(entry)
        return Ended(entry=entry, answer=answer, text_sent=self._text_sent)

    def stop(self, cause: DoubtCause) -> None:
        """Close the connection now; the end is still written."""
        if self._stopped is None:
            self._stopped = cause
            if self._task is not None:
                self._task.cancel()

    def connected(self) -> None:
        """Note the milestone."""
        self._mark("connected_us")

    def sent(self) -> None:
        """Note the milestone."""
        self._mark("sent_us")

    def headed(self, head: Head) -> None:
        """Append what the headers say; nobody waits for it."""
        self._mark("headers_us")
        self._head = head
        self._headers = {name.lower(): value for name, value in head.headers}
        provider = self._route.provider
        values, names = kept_headers(head.headers, provider.kept_headers | {SIMULATOR_HEADER})
        self._journal.accept(
            AcceptedEntry(
                tool_call_id=self._intent.tool_call_id,
                attempt_id=self._intent.attempt_id,
                status=head.status,
                provider_ids=provider.ids(self._headers),
                headers=values,
                other_headers=names,
                tls=head.tls,
            )
        )

    def received(self, chunk: bytes) -> None:
        """Hash, count and read a piece of the body."""
        if "first_byte_us" not in self._at_us:
            self._mark("first_byte_us")
        self._hash.update(chunk)
        self._body_bytes += len(chunk)
        if self._head is None or self._head.status != HTTPStatus.OK:
            self._error_body += chunk[: ERROR_BODY_BYTES_MAX - len(self._error_body)]
            return
        for text in self._reader.feed(chunk):
            if text:
                self._give(text)

    def _give(self, text: str) -> None:
        """Pass text on. A client that cannot take it loses the text, never the attempt its settlement."""
        if self._on_text is None:
            return
        self._text_sent = True
        try:
            self._on_text(text)
        except Exception:  # noqa: BLE001 - the watcher of an exchange must not raise
            self._on_text = None
            _log.exception("text could not be passed on", extra={"attempt_id": self._intent.attempt_id})

    async def _exchange(self) -> UnsentError | LostError | None:
        self._task = asyncio.current_task()
        try:
            if self._stopped is not None:
                return self._interrupted(self._stopped)
            self._assert_intended()
            await self._wire.exchange(self._route.wallet, self._prepared, self)
        except (UnsentError, LostError) as failure:
            return failure
        except asyncio.CancelledError:
            # Asked for by `stop`, or by a loop that is being torn down: either way the end must be written.
            if self._task is not None:
                self._task.uncancel()
            return self._interrupted(self._stopped or DoubtCause.STOPPING)
        except Exception as error:  # noqa: BLE001 - the attempt must end all the same, or its call stays open
            _log.exception("an attempt failed", extra={"attempt_id": self._intent.attempt_id})
            return self._failed(error)
        finally:
            self._task = None
        return None

    def _assert_intended(self) -> None:
        """Look once more, in production too: this room's promise is kept here or nowhere."""
        if not self._journal.admits(self._intent.attempt_id):
            raise NotIntendedError(self._intent.attempt_id)

    def _judge(self, failure: UnsentError | LostError | None) -> tuple[Answer, End]:
        try:
            answer = self._reader.finish()
            return answer, ending(self._outcome(failure, answer))
        except Exception as error:  # noqa: BLE001 - a provider's file that fails must not leave the attempt open
            _log.exception("an answer could not be judged", extra={"attempt_id": self._intent.attempt_id})
            self._headers = {}
            answer = Answer(readable=False)
            return answer, ending(self._outcome(self._failed(error), answer))

    def _interrupted(self, cause: DoubtCause) -> UnsentError | LostError:
        if "connected_us" in self._at_us:
            return LostError(cause, f"interrupted while it ran ({cause})")
        return UnsentError.interrupted(cause)

    def _failed(self, error: Exception) -> UnsentError | LostError:
        message = f"the service failed ({type(error).__name__})"
        if "connected_us" not in self._at_us:
            return UnsentError(UnsentReason.SERVICE_FAILED, message)
        return LostError(DoubtCause.SERVICE_FAILED, message)

    def _outcome(self, failure: UnsentError | LostError | None, answer: Answer) -> Outcome:
        response = Commitment(self._hash.hexdigest(), self._body_bytes) if self._head else None
        return Outcome(
            route=self._route,
            intent=self._intent,
            prompt_bytes=len(self._prepared.body),
            status=self._head.status if self._head else None,
            headers=self._headers,
            error_body=bytes(self._error_body),
            answer=answer,
            response=response,
            failure=failure,
            timing=Timing(**self._at_us, ended_us=self._elapsed_us()),
        )

    def _mark(self, milestone: str) -> None:
        self._at_us[milestone] = self._elapsed_us()

    def _elapsed_us(self) -> int:
        return (self._clock.monotonic_ns() - self._began_ns) // NS_PER_US
