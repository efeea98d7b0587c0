"""What is remembered of the log: a wallet's own readings, of one account, of the last days."""

from typing import TYPE_CHECKING

from service.core.times import NS_PER_S, utc_text
from service.core.wallet import wallet
from service.core.words import ReadingCause
from service.proving.memory import ReadingsKept, is_of, of_account, verdicts_since
from tests.proving.test_rounds import KEY, reading
from tests.rig import PROVIDERS

if TYPE_CHECKING:
    from tests.proving.conftest import Lab

MAIN = wallet(PROVIDERS["kimi"], KEY, base_url="https://api.moonshot.ai/v1", name="main")


def test_a_reading_is_of_a_wallet_by_host_and_kind() -> None:
    """A name alone does not make it the wallet's own."""
    assert is_of(reading(1), MAIN)
    assert not is_of(reading(1, endpoint="https://api.moonshot.cn/v1/users/me/balance"), MAIN)
    assert not is_of(reading(1, simulated=True), MAIN)
    assert not is_of(reading(1, fingerprint="00000000"), MAIN)
    assert not is_of(reading(1, fingerprint=None), MAIN)


def test_another_accounts_readings_are_left_out() -> None:
    """When a wallet's key comes to be another account's, what was read before does not count."""
    found = [
        reading(1),
        reading(2, "account", account="a"),
        reading(3),
        reading(4, "account", account="b"),
        reading(5),
    ]
    assert [3, 4, 5] == [one.index for one in of_account(found)]
    assert [1, 2, 3] == [one.index for one in of_account(found[:3])]


async def test_rounds_grow_with_the_log(lab: "Lab") -> None:
    """What is read later is added; what is old is forgotten, but for the last round before the time asked for."""
    kept = ReadingsKept(lab.reading, lab.wallet)
    begin = utc_text(lab.clock.now_ns() - NS_PER_S)
    assert 1 == len(kept.rounds(begin))
    for _ in range(3):
        await lab.later(60)
    assert 4 == len(kept.rounds(begin))
    assert 2 == len(kept.rounds(utc_text(lab.clock.now_ns() - NS_PER_S)))
    assert 2 == len(kept.rounds(begin))
    fresh = ReadingsKept(lab.reading, lab.wallet)
    assert 4 == len(fresh.rounds(begin))


async def test_verdicts_of_a_time(lab: "Lab") -> None:
    """Newest first, and none of a simulator's for a real wallet of that name."""
    for _ in range(2):
        await lab.call()
        await lab.later(3)
    begin = utc_text(lab.clock.now_ns() - 3600 * NS_PER_S)
    found = verdicts_since(lab.reading, lab.wallet.name, begin, simulated=True)
    assert [found[0].index, found[1].index] == sorted((one.index for one in found), reverse=True)
    assert [] == verdicts_since(lab.reading, lab.wallet.name, begin, simulated=False)
    assert await lab.read(cause=ReadingCause.DEMAND) is None
