"""Auth: one path for every stranger, and nothing of a token in what we say."""

import hmac
import logging

import pytest

from service.errors import UnauthorizedError
from service.secret import Secret
from service.serving.auth import DEFAULT, LOCAL, Tokens, bearer, names_token
from service.serving.quiet import QuietLog

RIGHT = "right-token-0123456789"


def test_no_token_configured() -> None:
    """Without a token everyone is the local owner, whatever they send."""
    tokens = Tokens(None)
    assert not tokens.is_required
    assert [LOCAL] * 3 == [tokens.caller(token) for token in (None, "", "anything")]
    assert {"call", "read"} == LOCAL.scopes


def test_right_token() -> None:
    """The configured token makes the client `default`, who may call and read its own."""
    caller = Tokens(Secret(RIGHT)).caller(RIGHT)
    assert DEFAULT is caller
    assert {"call", "read"} == caller.scopes
    assert not caller.sees_all


@pytest.mark.parametrize("token", [None, "", RIGHT[:-1], RIGHT + "x", RIGHT.upper(), "é\ud800", "x" * 5000])
def test_wrong_token(token: str | None) -> None:
    """Every other token is refused in the same words, with the remedy, and counted."""
    tokens = Tokens(Secret(RIGHT))
    with pytest.raises(UnauthorizedError) as caught:
        tokens.caller(token)
    assert "The token is missing or wrong." == str(caught.value)
    assert "EXAI_WS_TOKEN" in caught.value.remedy
    assert 1 == tokens.failures


def test_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, wrong and right tokens all reach the constant-time comparison, as digests of one length."""
    seen: list[tuple[bytes, bytes]] = []

    compare_digest = hmac.compare_digest

    def compare(given: bytes, wanted: bytes) -> bool:
        seen.append((given, wanted))
        return compare_digest(given, wanted)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = Tokens(Secret(RIGHT))
    for token in (None, "w", "x" * 1000):
        with pytest.raises(UnauthorizedError):
            tokens.caller(token)
    tokens.caller(RIGHT)
    assert 4 == len(seen)
    assert {32} == {len(digest) for pair in seen for digest in pair}


def test_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand failures make one log line, without any token in it."""
    tokens = Tokens(Secret(RIGHT), quiet=QuietLog(logging.getLogger("auth"), monotonic_s=lambda: 0.0))
    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            with pytest.raises(UnauthorizedError):
                tokens.caller("guess")
    assert 1000 == tokens.failures
    assert 1 == len(caplog.records)
    assert "guess" not in caplog.text
    assert RIGHT not in caplog.text


def test_empty_token() -> None:
    """An empty token cannot be configured: it would look like protection and be none."""
    with pytest.raises(ValueError, match="leave it out"):
        Tokens(Secret(""))


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None),
        ("", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        ("Basic abc", None),
        ("abc", None),
    ],
)
def test_bearer(header: str | None, token: str | None) -> None:
    """Only the kind Bearer carries a token; its name has no case."""
    assert token == bearer(header)


@pytest.mark.parametrize(
    ("names", "found"),
    [([], False), (["limit", "before"], False), (["limit", "Access_Token"], True), (["token"], True)],
)
def test_names_token(names: list[str], found: bool) -> None:  # noqa: FBT001 - a table's column
    """A token in an address is recognised by its name, in any case."""
    assert found is names_token(names)
