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


def test_an_override_replaces_and_adds(tmp_path: Path) -> None:
    """A row of a model that we price too takes our rows' place there; a row of another model is added."""
    file = tmp_path / "prices.toml"
    file.write_text(ROW.format(model="kimi-k2.6", rate="7") + ROW.format(model="kimi-mine", rate="8"))
    ours, both = load_prices(), load_prices(file)
    replaced = [
        row.uncached_input for row in both.rows if (row.host, row.model) == ("api.moonshot.ai", "kimi-k2.6")
    ]
    assert ["7"] == replaced
    assert {row.model for row in both.rows} == {*(row.model for row in ours.rows), "kimi-mine"}
    assert ours.version != both.version


@pytest.mark.parametrize(
    "content", [b"no toml", b"\xff", ROW.format(model="m", rate="dear").encode(), b'[[price]]\nmodel = "m"']
)
def test_a_bad_file_refuses_the_start(tmp_path: Path, content: bytes) -> None:
    """The message names the file, and the remedy the setting."""
    file = tmp_path / "prices.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"prices\.toml") as caught:
        load_prices(file)
    assert "EXAI_PRICES" in caught.value.remedy


def test_a_missing_file_refuses_the_start(tmp_path: Path) -> None:
    """A file that was named and is not there is no empty one."""
    with pytest.raises(SettingsError, match=r"missing\.toml"):
        load_prices(tmp_path / "missing.toml")


def test_two_rows_at_once_refuse_the_start(tmp_path: Path) -> None:
    """Two of the operator's rows that hold at one time leave the price open."""
    file = tmp_path / "prices.toml"
    file.write_text(ROW.format(model="kimi-mine", rate="7") + ROW.format(model="kimi-mine", rate="8"))
    with pytest.raises(SettingsError, match="in force at the same time"):
        load_prices(file)
