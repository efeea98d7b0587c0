"""The world of one seed: processes that live, crash and start again on one disk, until all is settled."""

import random
from dataclasses import dataclass, field

from tests.simulation.clock import WorldClock
from tests.simulation.disk import Disk
from tests.simulation.judge import Judge
from tests.simulation.listening import listening
from tests.simulation.loop import DeadError, EndlessError, StuckError, VirtualLoop
from tests.simulation.process import KEYS, PROMPT, Process
from tests.simulation.provider import FarSide

_LIVES_MAX = 4
_KILLED_CHANCE = 0.5
_TURNS_MEAN = 400


@dataclass
class World:
    """One seed's world. The same seed gives the same world, to the last byte of its log."""

    seed: int
    clock: WorldClock = field(default_factory=WorldClock)

    def __post_init__(self) -> None:
        self.deaths = 0  # processes that did not end by themselves
        self.dice = random.Random(self.seed)  # noqa: S311 - to be repeated, not to be secret
        self.disk = Disk(self.dice)
        self.far = FarSide(self.dice)
        self.judge = Judge(self.disk, self.far, (*(key.encode() for key in KEYS.values()), PROMPT.encode()))

    @property
    def wrong(self) -> list[str]:
        """What did not hold, each in a sentence."""
        return self.judge.wrong

    def run(self) -> list[str]:
        """Live several lives in a storm and one in the calm after it, and have them judged."""
        with listening(self.wrong, self.judge.secrets):
            lives = self.dice.randint(1, _LIVES_MAX)
            for number in range(lives + 1):
                self._live(is_calm=number == lives)
                if self.wrong:
                    return self.wrong
            self.judge.closed()
        return self.wrong

    def _live(self, *, is_calm: bool) -> None:
        """Run one process to its end, whichever it is."""
        loop = VirtualLoop(self.dice, begun_s=self.clock.at_s)
        self.clock.loop = loop
        if not is_calm and self.dice.random() < _KILLED_CHANCE:
            loop.die_in(int(self.dice.expovariate(1 / _TURNS_MEAN)))
        process = Process(loop, self.dice, self.disk, self.far, self.judge, self.clock, is_calm)
        try:
            loop.run_until_complete(process.main())
        except DeadError:
            self.deaths += 1
        except (StuckError, EndlessError) as error:
            self.wrong.append(f"I2: {error}")
        finally:
            self.wrong.extend(f"a fault of the loop: {fault}" for fault in loop.faults)
            process.network.land_all()
            loop.bury()
            self.disk.memory.locked = False
