"""Which rows and which attempts `exai ledger match` compares: of what time, of which day, and of whose wallet."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.cli._main import FAILED
from service.core.times import NS_PER_S, utc_ns, utc_text
from tests.cli.statements import GAPS, HEAD, MATCHED, Asked, at, call, rows, write

if TYPE_CHECKING:
    from tests.conftest import Made


def test_a_statement_is_compared_over_its_own_time(asked: Asked) -> None:
    """What lies outside it is missed on neither side, unless the time is said."""
    later = f"{HEAD}x,{at(3600)},1,1,1,USD\n"
    assert (GAPS, [("missing_here", None, None)]) == asked.pairs(
        later, "--wallet", "kimi-main", "--tolerance-s", "9000"
    )
    status, out = asked.status(rows(0, 1) + f"x,{at(3600)},1,1,1,USD\n", "--until", at(60), "--format", "json")
    told = json.loads(out)
    assert (MATCHED, 1, at(60)) == (status, told["statement"]["rows_outside"], told["until"])
    assert MATCHED == asked.status(rows(0, 1), "--since", at(-60))[0]
    assert MATCHED == asked.status(rows(0, 1), "--since", "1970-01-01", "--until", "9999-12-31T23:59:59Z")[0]


@pytest.mark.parametrize(
    ("zone_of_file", "words", "since"),
    [
        (None, (), "2026-11-23T00:00:00.000000Z"),
        ("Asia/Shanghai", (), "2026-11-22T16:00:00.000000Z"),
        ("Asia/Shanghai", ("--zone", "America/New_York"), "2026-11-23T05:00:00.000000Z"),
        (None, ("--zone", "Asia/Shanghai"), "2026-11-22T16:00:00.000000Z"),
        ("Asia/Shanghai", ("--zone", "UTC"), "2026-11-23T00:00:00.000000Z"),
    ],
)
def test_days_are_those_of_the_statements_zone(
    asked: Asked, zone_of_file: str | None, words: tuple[str, ...], since: str
) -> None:
    """What is said in words of the command counts before the file of columns, and that before UTC."""
    (asked.folder / "columns.toml").write_text(f"[meaning]\nzone = '{zone_of_file}'\n" if zone_of_file else "")
    words += ("--columns", str(asked.folder / "columns.toml"), "--format", "json")
    told = json.loads(asked.status(rows(0), "--since", "2026-11-23", "--until", "2026-11-24", *words)[1])
    assert (since, utc_text(utc_ns(since) + 24 * 3600 * NS_PER_S)) == (told["since"], told["until"])


def test_a_statement_of_dates_lasts_until_its_last_day_ends(asked: Asked) -> None:
    """Its calls are found by their ids, whatever the hour, and one that it lacks is missed."""
    dates = "".join(f"chat-{number},2026-11-23,100,50,0.25,USD\n" for number in (0, 1))
    status, out = asked.status(HEAD + dates, "--zone", "Asia/Shanghai", "--format", "json")
    told = json.loads(out)
    assert (MATCHED, 2) == (status, told["counts"]["matched"])
    assert ("2026-11-22T16:00:00.000000Z", "2026-11-23T16:00:00.000000Z") == (told["since"], told["until"])
    only = HEAD + dates.splitlines()[0] + "\n"
    assert GAPS == asked.status(only, "--zone", "Asia/Shanghai")[0]
    assert MATCHED == asked.status(HEAD + dates, "--zone", "Asia/Shanghai", "--since", at(-1))[0]


def test_only_a_time_that_is_said_has_sharp_ends(asked: Asked, made: "Made") -> None:
    """A call after the last row is missed with --until alone; a row before --since is not meant."""
    asyncio.run(write(asked.folder, call(made, 7), opened_s=60, begun_s=60))
    assert (MATCHED, ["matched"] * 2) == ((found := asked.pairs(rows(0, 1)))[0], [one for one, *_ in found[1]])
    assert "a row that is missing before its first or after its last is not seen" in asked.status(rows(0, 1))[1]
    ends = ("--since", at(-60), "--until", at(120))
    assert (GAPS, "missing_there") == ((found := asked.pairs(rows(0, 1), *ends))[0], found[1][-1][0])
    assert "is not seen" not in asked.status(rows(0, 1), *ends)[1]
    early = f"x,{at(-60.5)},1,1,1,USD\n"
    assert "is not seen" not in asked.status("ID\nchat-0\nchat-1\nchat-7\n")[1]
    told = json.loads(asked.status(rows(0, 1, 7) + early, *ends, "--format", "json")[1])
    assert (1, 0) == (told["statement"]["rows_outside"], told["counts"]["missing_here"])


def test_an_attempt_may_begin_long_after_its_call(asked: Asked, made: "Made") -> None:
    """The call of what a statement's first row states may have been opened most of an hour before."""
    asyncio.run(write(asked.folder, call(made, 7), begun_s=3500))
    row = f"chat-7,{at(3500)},100,50,0.25,USD\n"
    assert (MATCHED, [("matched", "request_id", "0")]) == asked.pairs(HEAD + row, "--wallet", "kimi-main")


def test_simulated_attempts_are_asked_for_by_name(asked: Asked) -> None:
    """And said to be no money."""
    status, out = asked.status(rows(3), "--wallet", "played")
    assert (MATCHED, True) == (status, out.startswith("SIMULATED"))


def test_a_wallets_simulated_attempts_are_not_its_real_ones(
    made: "Made", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under one name the real ones are meant, be it named or not; the others are said to be left out."""
    first, second = call(made, 0, wallet="main"), call(made, 1, wallet="main", simulated=True)
    asyncio.run(write(tmp_path, first, second))
    asked = Asked(tmp_path, capsys)
    for words in ((), ("--wallet", "main")):
        status, out = asked.status(rows(0), *words, "--format", "json")
        told = json.loads(out)
        assert (MATCHED, False, ["main (simulated)"]) == (status, told["simulated"], told["not_compared"])
        assert ["0.25"] == [one["ours"] for one in told["sums"]]
    assert "SIMULATED" not in (shown := asked.status(rows(0))[1])
    assert "Not compared: main (simulated)." in shown


def test_a_wallets_simulated_attempts_are_meant_where_it_has_no_others(asked: Asked, made: "Made") -> None:
    """In that time: the real ones of another are not of this statement."""
    asyncio.run(write(asked.folder, call(made, 7, simulated=True), opened_s=9000, begun_s=9000))
    row = f"{HEAD}chat-7,{at(9000)},100,50,0.25,USD\n"
    for words in ((), ("--wallet", "kimi-main")):
        assert (MATCHED, True) == ((found := asked.status(row, *words))[0], found[1].startswith("SIMULATED"))


def test_an_unknown_wallet_is_refused(asked: Asked) -> None:
    """Those that there are stand in the remedy; real and simulated are never one statement's."""
    assert FAILED == asked.status(rows(0), "--wallet", "nobody")[0]
    assert "no attempt has the wallet nobody" in asked.err
    assert "There are: kimi-main, played (simulated)." in asked.err
    assert FAILED == asked.status(rows(0), "--wallet", "kimi-main", "--wallet", "played")[0]
    assert "no real attempt has the wallet played" in asked.err


def test_a_wallet_without_attempts_in_that_time_is_known(asked: Asked) -> None:
    """Every row of another month is missing here, be the wallet named or not; what may be wrong is told."""
    month = f"{HEAD}x,2026-10-01T00:00:00Z,1,1,1,USD\n"
    for words in ((), ("--wallet", "kimi-main"), ("--wallet", "played")):
        status, out = asked.status(month, *words)
        told = ("No attempt of ours is near this time" in out, "SIMULATED" in out)
        assert (GAPS, (True, words[1:] == ("played",))) == (status, told)
    assert "No attempt of ours" not in asked.status(rows(0))[1]


def test_of_several_wallets_one_must_be_named(asked: Asked, made: "Made") -> None:
    """Two together may be, for an account that several keys share."""
    asyncio.run(write(asked.folder, call(made, 9, wallet="second")))
    assert FAILED == asked.status(rows(0, 1))[0]
    assert "--wallet kimi-main or --wallet second; all of them, if one account pays" in asked.err
    assert MATCHED == asked.status(rows(0, 1), "--wallet", "kimi-main")[0]
    assert GAPS == asked.status(rows(0, 1), "--wallet", "kimi-main", "--wallet", "second")[0]
