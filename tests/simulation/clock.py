"""The wall clock of a machine: it follows the loop's time, and somebody may set it."""

from tests.simulation.loop import VirtualLoop

BEGUN_NS = 1_795_364_460_000_000_000  # 2026-11-22T16:21:00Z
_NS_PER_S = 10**9


class WorldClock:
    """The clocks of one machine; they go on from process to process.

    Attributes:
        loop: of the process that runs now.
        set_ns: what the wall clock says at the loop's zero.
    """

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self.set_ns = BEGUN_NS

    @property
    def at_s(self) -> float:
        """The loop's time."""
        return self.loop.time() if self.loop else 0.0

    def now_ns(self) -> int:
        """Say the wall time."""
        return self.set_ns + int(self.at_s * _NS_PER_S)

    def monotonic_ns(self) -> int:
        """Say the time that nobody sets."""
        return int(self.at_s * _NS_PER_S)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self.set_ns += int(seconds * _NS_PER_S)
