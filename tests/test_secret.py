"""A secret shows itself to nobody who does not ask for it by name."""

from service.secret import Secret

REAL = "sk-abcdefghijklmnopqrstuvwx"


def test_a_secret_shows_itself_only_when_asked() -> None:
    """Neither its text nor its repr holds it."""
    secret = Secret(REAL)
    assert REAL not in f"{secret} {secret!r}"
    assert secret.reveal() == REAL


def test_equal_secrets_are_equal() -> None:
    """They compare and hash by their texts, and never equal a plain text."""
    assert Secret(REAL) == Secret(REAL)
    assert Secret(REAL) != Secret("other")
    assert Secret(REAL) != REAL
    assert len({Secret(REAL), Secret(REAL), Secret("other")}) == 2
