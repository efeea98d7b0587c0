"""Actions are plugs that refuse what they do not know, and know who asks."""

import os
import pwd

import msgspec
import pytest

from service.actions import token_revoke
from service.actions._action import load_actions, somebody
from service.errors import PlugError


def test_the_actions() -> None:
    """Each file is one, under its name."""
    assert {"token-create", "token-revoke"} <= set(load_actions())
    assert token_revoke.ACTION is load_actions()["token-revoke"]


def test_an_action_must_refuse_unknown_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older service must not do half of what a newer command meant."""

    class Loose(msgspec.Struct):
        name: str

    class Malformed:
        name, request, reply, run = "token-revoke", Loose, Loose, None

    monkeypatch.setattr(token_revoke, "ACTION", Malformed)
    with pytest.raises(PlugError, match="token-revoke lets unknown fields pass"):
        load_actions()


def test_who_asks() -> None:
    """A user is named with its number; one that this machine does not know has its number alone."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    assert f"user {own} (uid {os.geteuid()}) on this machine" == somebody()
    assert "user 4000000 on this machine" == somebody(4_000_000)
