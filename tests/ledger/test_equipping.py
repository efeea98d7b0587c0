"""The writer that everybody has: no key, token or password reaches an entry, however JSON writes it."""

from pathlib import Path

import pytest

from service.core.entries import SystemEntry
from service.core.token import token_text
from service.ledger.ballast import Ballast
from service.ledger.equipping import equipped
from service.ledger.sqlite import SqliteStore
from service.ledger.writer import Append, SecretInEntryError, Writer
from service.secret import Secret
from service.settings import Settings, WalletSource

AT = "2026-11-22T12:00:00.000000Z"
TOKEN = token_text(b"\x01" * 32)


def outcome(writer: Writer, text: str) -> object:
    """Write a text."""
    (found,) = writer.write([Append((SystemEntry(event="x", detail={"a": text}),), AT)])
    return found


@pytest.mark.parametrize(
    "secret", ['pass"word\\with-signs-0123456789', "geheim-schlüssel-0123456789", "sk-" + "a" * 30]
)
def test_a_secret_is_refused_as_json_writes_it(tmp_path: Path, secret: str) -> None:
    """Quotes and backslashes are escaped in an entry, and are found all the same; other text is written."""
    store = SqliteStore(tmp_path, new_origin="exai/test")
    writer = Writer(store, canaries=[secret.encode()])
    assert isinstance(outcome(writer, f"it is {secret}."), SecretInEntryError)
    assert isinstance(outcome(writer, secret[:-1]), tuple)
    store.close()


def test_a_named_token_is_refused_by_its_form(tmp_path: Path) -> None:
    """Whoever made it. What only looks like one, with a wrong checksum, is written."""
    store = SqliteStore(tmp_path, new_origin="exai/test")
    writer = Writer(store)
    assert isinstance(outcome(writer, f"x{TOKEN}y"), SecretInEntryError)
    assert isinstance(outcome(writer, TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")), tuple)
    store.close()


def test_every_writer_knows_the_settings_secrets(tmp_path: Path) -> None:
    """Keys and the token of the settings, and it has a ballast."""
    key, token = "sk-0123456789abcdefghijklmnop", "wstoken-0123456789abcdef"
    paid = WalletSource(provider="kimi", base_url=None, key=Secret(key))
    settings = Settings(data_dir=tmp_path, ws_token=Secret(token), wallets=(paid,))
    store, ballast = SqliteStore(tmp_path, new_origin="exai/test"), Ballast(tmp_path)
    writer = equipped(store, settings, at=AT, ballast=ballast)
    assert [SecretInEntryError] * 2 == [type(outcome(writer, text)) for text in (key, token)]
    assert writer.ballast is ballast
    store.close()
