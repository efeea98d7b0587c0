"""The parts of a pump: what a connection and whoever runs calls must be, and the bounds that hold."""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum
from typing import Protocol

import msgspec

from service.errors import ExaiError, InvalidArgumentsError, OverCapacityError
from service.mcp.events import CallTool, Conversation, Events, RejectReason, ToolReply
from service.mcp.terms import MIB
from service.serving.auth import Caller, Tokens
from service.serving.limits import FRAMES_BURST, FRAMES_PER_S
from service.serving.quiet import QuietLog

FRAME_RATE = "frame_rate"
SLOW_READER = "slow_reader"
LAPSED = "token_lapsed"
ADMISSION = "admission"
REJECTIONS = frozenset(
    (*RejectReason, FRAME_RATE, SLOW_READER, LAPSED, OverCapacityError.code, InvalidArgumentsError.code, ADMISSION)
)
"""Every word that `count_rejection` may be given; fit for a metric's label."""


class Mark(Enum):
    """What came in place of a text frame."""

    BINARY = "A binary frame."
    OVERSIZE = "A frame beyond the limit; the transport may have closed already."
    CONTROL = "A ping or pong, answered by the transport; it counts as a frame."


class Duplex(Protocol):
    """One connection of text frames, as a transport offers it."""

    async def receive(self) -> bytes | Mark | None:
        """Wait for a frame; None when the peer is gone. Must be safe to cancel."""

    async def send(self, frame: bytes) -> None:
        """Write one text frame; must wait while the peer does not read.

        Raises:
            ConnectionError: the peer is gone.
        """

    async def close(self, code: int, reason: str) -> None:
        """End the connection and free all it holds; never raises, never waits long, may come twice."""


class RunningCall(Protocol):
    """A tool call that was admitted and runs by itself."""

    done: asyncio.Future[ToolReply]
    """Its end; never an exception and never cancelled: whatever went wrong is in the reply."""

    def cancel(self) -> None:
        """Ask it to stop; `done` still comes."""


class Calls(Protocol):
    """Whoever admits and runs tool calls."""

    def begin(
        self,
        call: CallTool,
        *,
        caller: Caller,
        session: str,
        transport: str,
        protocol: str,
        on_text: Callable[[str], None] | None,
    ) -> RunningCall:
        """Admit a call and set it running; it must go on when nobody looks at it any more.

        Raises:
            ExaiError: it may not begin; nothing was recorded.
        """


class PumpTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines and bounds of one connection."""

    opening_s: float = 15.0
    """From the connection to the end of the introduction."""
    write_stall_s: float = 30.0
    """How long one frame may wait for a peer that does not read."""
    heartbeat_s: float = 8.0
    """Between signs of life for calls in flight; clients of the predecessor extend their deadline by them."""
    close_s: float = 2.0
    """For what is still to be sent before a close."""
    frames_per_s: float = FRAMES_PER_S
    frames_burst: int = FRAMES_BURST
    queue_frames_max: int = 1024
    queue_bytes_max: int = 32 * MIB
    text_chars_max: int = MIB
    """Streamed text of one call that may wait for a slow reader."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What all pumps of a service share.

    Attributes:
        open_conversation: begins a conversation with its first frame and serves that frame.
        refusal: turns what `Calls.begin` raised into the reply of the call.
        count_rejection: is given a word of `REJECTIONS` for each refusal before admission.
        new_id: makes session ids; unguessable.
    """

    calls: Calls
    tokens: Tokens
    open_conversation: Callable[[bytes], tuple[Conversation, Events]]
    refusal: Callable[[ExaiError], ToolReply]
    count_rejection: Callable[[str], None]
    new_id: Callable[[], str]
    terms: PumpTerms = PumpTerms()
    quiet: QuietLog = msgspec.field(default_factory=lambda: QuietLog(logging.getLogger(__name__)))
