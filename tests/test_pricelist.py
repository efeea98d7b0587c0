"""The price list: the operator's rows replace ours for the same model and host, and nothing else."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.pricelist import load_prices

ROW = """
[[price]]
provider = "kimi"
host = "api.moonshot.ai"
model = "{model}"
currency = "USD"
uncached_input = "{rate}"
cached_input = "1"
output = "1"
source = "a contract of our own"
"""
GOOD = ROW.format(model="kimi-one", rate="7")
BAD = ROW.format(model="kimi-two", rate="8")
BAD_ROW_LINE = 12
BAD_LABEL = "price row kimi/api.moonshot.ai/kimi-two from ever"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A place for a price file."""
    return tmp_path / "mine.toml"


def refusal(path: Path) -> str:
    """Give the sentence that refuses a file; its remedy always says how to do without one."""
    with pytest.raises(SettingsError) as caught:
        load_prices(path)
    assert "unset EXAI_PRICES. The format is described in service/core/README.md." in caught.value.remedy
    return str(caught.value)


def test_an_override_replaces_and_adds(file: Path) -> None:
    """A row of a model that we price too takes our rows' place there; a row of another model is added."""
    file.write_text(ROW.format(model="kimi-k2.6", rate="7") + ROW.format(model="kimi-mine", rate="8"))
    ours, both = load_prices(), load_prices(file)
    replaced = {row.host: row.uncached_input for row in both.rows if row.model == "kimi-k2.6"}
    assert {"api.moonshot.ai": "7", "api.moonshot.cn": "6.5"} == replaced
    assert {row.model for row in both.rows} == {*(row.model for row in ours.rows), "kimi-mine"}
    assert ours.version != both.version


@pytest.mark.parametrize(
    ("stated", "instead", "why"),
    [
        ('output = "1"', 'outptu = "1"', "price row 2 (kimi-two): Object contains unknown field `outptu`"),
        (
            'output = "1"',
            "output = 1.5",
            "price row 2 (kimi-two): Expected `str | null`, got `float` - at `$.output`",
        ),
        (
            '"kimi-two"',
            '""',
            "price row 2 (): Expected `str` of length >= 1 - at `$.model`",
        ),
        ('output = "1"', "", f"{BAD_LABEL}: uncached_input and output must be stated, or tiers"),
        ('"8"', '"-8"', f"{BAD_LABEL}: uncached_input = '-8' is no decimal with at most 6 digits after the point"),
        (
            '"8"',
            '"dear"',
            f"{BAD_LABEL}: uncached_input = 'dear' is no decimal with at most 6 digits after the point",
        ),
        (
            '"kimi-two"',
            '"kimi-two"\nvalid_to = "2026-01-01"',
            f"{BAD_LABEL}: '2026-01-01' names no time zone; end it with Z for UTC",
        ),
        ('"USD"', '"usd"', f"{BAD_LABEL}: 'usd' is no ISO 4217 currency code"),
        ('"USD"', '"CNY"', f"{BAD_LABEL}: the host api.moonshot.ai bills in USD, not in CNY"),
        (
            '"kimi"',
            '"openai"',
            "price row openai/api.moonshot.ai/kimi-two from ever: no such provider; known are glm, kimi",
        ),
        (
            '"api.moonshot.ai"',
            '"api.z.ai"',
            "price row kimi/api.z.ai/kimi-two from ever: Kimi is not known to bill by the host 'api.z.ai'",
        ),
    ],
)
def test_a_bad_row_is_named_with_its_line(file: Path, stated: str, instead: str, why: str) -> None:
    """The file, the line on which the row begins, the row, and what is wrong with it."""
    file.write_text(GOOD + BAD.replace(stated, instead))
    assert f"{file} line {BAD_ROW_LINE}: {why}" == refusal(file)


def test_two_rows_at_once_are_named_with_both_lines(file: Path) -> None:
    """Two of the operator's rows that hold at one time leave the price open."""
    file.write_text(GOOD + BAD + ROW.format(model="kimi-one", rate="8"))
    why = (
        "price row kimi/api.moonshot.ai/kimi-one from ever: another row of this model is in force at the same time"
    )
    assert f"{file} line 2 and 22: {why}" == refusal(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"price = 3", "price is no list of rows; begin each row with [[price]]"),
        (b"[[prices]]", "unknown key 'prices'; a price file holds [[price]] rows only"),
        (b"price = [\n{ model = 'a' }]", "price row 1 (a): Object missing required field `provider`"),
        (b"x = '''\n[[price]]\n'''\n[[price]]", "unknown key 'x'; a price file holds [[price]] rows only"),
        (
            b"[[price]]\nmodel = '''\n[[price]]\n'''",
            "price row 1 ([[price]] ): Object missing required field `provider`",
        ),
    ],
)
def test_no_line_is_named_that_may_be_wrong(file: Path, content: bytes, why: str) -> None:
    """Where headers and rows are not the same in number, the row alone is named."""
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file}: {why}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\nno toml", ": this is no TOML: Expected '=' after a key in a key/value pair (at line 2, column 4)"),
        (b"price = " + b"9" * 5000, ": this is no TOML: Exceeds the limit"),
        (b"price = " + b"[" * 100_000, ": this is no TOML: "),
        (b'[[price]]\nmodel = "\xff"', " line 2: this is no UTF-8 text"),
        (b"#" * 1_048_577, ": longer than 1048576 bytes"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(file: Path, content: bytes, why: str) -> None:
    """Whatever the bytes are, they end in a sentence; the parser's own says the line."""
    file.write_bytes(content)
    assert refusal(file).startswith(f"{file}{why}")


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A file that was named and cannot be read is no empty one."""
    file, circle = tmp_path / "file", tmp_path / "circle"
    file.touch()
    circle.symlink_to(circle)
    assert f"{tmp_path}: cannot be read: Is a directory" == refusal(tmp_path)
    assert f"{tmp_path}/missing: cannot be read: No such file or directory" == refusal(tmp_path / "missing")
    assert f"{file}/below: cannot be read: Not a directory" == refusal(file / "below")
    assert f"{circle}: cannot be read: Too many levels of symbolic links" == refusal(circle)


def test_an_empty_file_changes_nothing(file: Path) -> None:
    """No row is no mistake."""
    file.touch()
    assert load_prices().version == load_prices(file).version
