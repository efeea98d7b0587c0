"""Tests of the room: its files are providers."""

import service.providers
from service.plugs import load


def test_each_file_is_a_provider() -> None:
    """The folder is the list of providers, and each file is named after what it holds."""
    members = ("title", "key_variables", "base_url", "default_model", "prepare", "reader", "refusal")
    assert list(load(service.providers, "PROVIDER", *members)) == ["glm", "kimi"]
