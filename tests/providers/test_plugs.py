"""Tests of the room: its files are providers."""

import service.providers
from service.core.shapes import Provider
from service.plugs import load


def test_each_file_is_a_provider() -> None:
    """The folder is the list of providers, and each file is named after what it holds."""
    members = ("title", "key_variables", "base_url", "default_model", "prepare", "reader", "refusal")
    assert list(load(service.providers, "PROVIDER", *members)) == ["glm", "kimi"]


def test_a_provider_s_own_address_is_one_of_its_paths(provider: Provider) -> None:
    """The default base URL pays by the token, at a path that its host takes; its default model is for that."""
    host, _, path = provider.base_url.removeprefix("https://").partition("/")
    assert f"/{path}" in provider.paths(host)
    assert provider.plan(f"/{path}") is None
    assert provider.default_model == provider.model_for(None)
