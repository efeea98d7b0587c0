"""Calls with idempotency keys: services that start again over one ledger, and a past that tests can hold up."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.core import entries, record
from service.core.entries import AnswerEntry, OfLedger, ToolCallEntry
from service.core.record import ToolCall
from service.core.times import NS_PER_S
from service.ledger.memory import Memory
from service.ledger.working import Kind, Working
from service.mcp.events import ToolReply
from service.serving.auth import DEFAULT, Caller
from service.serving.calls import ToolCallRun
from service.serving.idempotency import Keys
from tests.rig import BEGUN_NS, WAIT_S, Rig
from tests.serving.running import CONSOLE, Service, checked, serving_over

KEY = "order-4711"
KEY_SHA256 = hashlib.sha256(KEY.encode()).hexdigest()


class Standing:
    """A clock that goes on when it is told to."""

    def __init__(self) -> None:
        self.at_ns = BEGUN_NS

    def now_ns(self) -> int:
        """Say the time."""
        return self.at_ns

    def monotonic_ns(self) -> int:
        """Say the same, for durations."""
        return self.at_ns

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.at_ns += int(seconds * NS_PER_S)


class MemoryPast:
    """What a ledger in memory knows of earlier calls, read from its lines alone.

    `gate` holds questions up while it is closed; `error` fails them.
    """

    def __init__(self, memory: Memory) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked = threading.Event()
        self.questions = 0
        self.error: Exception | None = None
        self._memory = memory

    def call_of_key(self, client: str, key_sha256: str, since: str) -> str | None:
        """Find a key's newest original."""
        self.questions += 1
        self.asked.set()
        assert self.gate.wait(WAIT_S)
        if self.error is not None:
            raise self.error
        read = [entries.decode(line.entry) for line in self._memory.lines]
        repeats = {one.tool_call_id for one in read if isinstance(one, AnswerEntry) and one.replay_of}
        found = [
            one.tool_call_id
            for one in read
            if isinstance(one, ToolCallEntry) and one.client == client and one.at >= since
            if one.idempotency is not None and one.idempotency.key_sha256 == key_sha256
        ]
        return next((one for one in reversed(found) if one not in repeats), None)

    def call(self, tool_call_id: str) -> ToolCall | None:
        """Fold one call."""
        call: ToolCall | None = None
        for line in self._memory.lines:
            entry = entries.decode(line.entry)
            if line.tool_call_id == tool_call_id and not isinstance(entry, OfLedger):
                call = record.after(call, entry, line.leaf_hash)
        return call


@dataclass
class Starts:
    """Services one after the other (or beside each other) over one ledger and one data folder."""

    lab: Rig
    folder: Path
    stack: AsyncExitStack
    clock: Standing = field(default_factory=Standing)

    async def start(self, **given: int) -> "Start":
        """Start a service; `given` are limits of its gate, or of its working texts."""
        texts = {name: given.pop(name) for name in ("text_bytes_max",) if name in given}
        working = Working(self.folder, clock=self.clock, **texts)
        self.stack.callback(working.close)
        past = MemoryPast(self.lab.memory)
        keys = Keys(past, working, clock=self.clock, console_url=CONSOLE)
        limits = {"per_session": 300, "per_client": 300, "total": 300, **given}
        service = await self.stack.enter_async_context(serving_over(self.lab, keys, **limits))
        return Start(service, keys, past, working)


@dataclass
class Start:
    """One start of the service."""

    service: Service
    keys: Keys
    past: MemoryPast
    working: Working

    @property
    def lab(self) -> Rig:
        """Its ledger and the simulator."""
        return self.service.lab

    def begin(
        self,
        tool: str = "chat",
        *,
        key: object = KEY,
        caller: Caller = DEFAULT,
        meta: dict[str, Any] | None = None,
        **given: Any,  # noqa: ANN401 - any argument
    ) -> ToolCallRun:
        """Begin a call with the key."""
        of = {"exai/idempotency_key": key, **(meta or {})}
        return self.service.begin(tool, meta=of, caller=caller, **given)

    async def reply(self, tool: str = "chat", **given: Any) -> ToolReply:  # noqa: ANN401 - any argument
        """Make a call with the key and wait for its reply."""
        return await reply_of(self.begin(tool, **given))

    def kept(self) -> bytes | None:
        """Look into the working texts for what is kept under the key."""
        return self.working.get(Kind.ANSWER, DEFAULT.name, KEY_SHA256)

    def keep(self, content: bytes) -> None:
        """Put something else there."""
        expires_at_ns = BEGUN_NS + 10**15
        assert self.working.put(Kind.ANSWER, DEFAULT.name, KEY_SHA256, content, expires_at_ns=expires_at_ns)


async def reply_of(run: ToolCallRun) -> ToolReply:
    """Wait for a call's reply."""
    return await asyncio.wait_for(asyncio.shield(run.done), WAIT_S)


def said(reply: ToolReply) -> tuple[Any, ...]:
    """Take what a reply says, without receipt and mark."""
    return reply.content, reply.structured, reply.is_error, reply.error


def original_of(reply: ToolReply) -> str | None:
    """Name the call that a reply repeats; None for an original's own."""
    return None if reply.replay is None else str(reply.replay["tool_call_id"])


def code_of(reply: ToolReply) -> str | None:
    """Give the code of a failure."""
    return None if reply.error is None else reply.error.code


def id_of(reply: ToolReply) -> str:
    """Name the call of a reply."""
    return str(checked(reply)["tool_call_id"])


def answers(lab: Rig) -> list[tuple[Any, ...]]:
    """List each answer in the log's order: outcome, zero reason, error code, whether it repeats another."""
    return [
        (one["outcome"], one["zero_reason"], one["error_code"], one["replay_of"] is not None)
        for one in lab.written("answer")
    ]


@asynccontextmanager
async def starts_over(lab: Rig, folder: Path) -> AsyncIterator[Starts]:
    """Let services start over a rig, and end them."""
    async with AsyncExitStack() as stack:
        yield Starts(lab, folder, stack)
