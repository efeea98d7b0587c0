"""The opening: the first frame tells which protocol a client speaks."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from service.mcp.catalogue import Catalogue
from service.mcp.events import Conversation, Events
from service.mcp.frames import FrameError, load
from service.mcp.predecessor import Predecessor
from service.mcp.session import Session
from service.mcp.terms import Limits, Server

if TYPE_CHECKING:
    # Proved by the type checker: the pump may treat both alike.
    _: tuple[type[Conversation], ...] = (Session, Predecessor)


def open_conversation(
    first_frame: bytes,
    *,
    catalogue: Catalogue,
    server: Server,
    new_id: Callable[[], str],
    now_s: Callable[[], float],
    limits: Limits | None = None,
) -> tuple[Session | Predecessor, Events]:
    """Begin a conversation with its first text frame, and serve that frame.

    An object with `op` and without `jsonrpc` is the predecessor's; everything else, also what cannot be
    read, is answered as JSON-RPC, and the client may try again. `new_id` names calls that come without an
    id; `now_s` is the time the predecessor's frames carry, in seconds since 1970.
    """
    limits = limits or Limits()
    if _is_predecessor(first_frame, limits):
        conversation: Session | Predecessor = Predecessor(
            catalogue=catalogue, server=server, limits=limits, new_id=new_id, now_s=now_s
        )
    else:
        conversation = Session(catalogue=catalogue, server=server, limits=limits)
    return conversation, conversation.receive(first_frame)


def _is_predecessor(frame: bytes, limits: Limits) -> bool:
    # A frame that is too big must not be parsed to learn what it is.
    if len(frame) > limits.opening_bytes_max:
        return False
    try:
        message = load(frame, depth_max=limits.depth_max)
    except FrameError:
        return False
    return "op" in message and "jsonrpc" not in message
