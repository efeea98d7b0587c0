"""Names that others define."""

import pytest

from otel import semconv


@pytest.mark.parametrize(("ours", "theirs"), [("kimi", "moonshot_ai"), ("glm", "z_ai"), ("another", "another")])
def test_providers_are_named_as_the_conventions_do(ours: str, theirs: str) -> None:
    """A provider has the conventions' name, or ours when they know none."""
    assert theirs == semconv.provider_name(ours)


@pytest.mark.parametrize(
    ("transport", "network"),
    [
        ("websocket", ("tcp", "websocket")),
        ("http", ("tcp", "http")),
        ("stdio", ("pipe", None)),
        ("pigeon", (None, None)),
    ],
)
def test_a_transport_has_its_network(transport: str, network: tuple[str | None, str | None]) -> None:
    """What carries a transport is named; an unknown one claims nothing."""
    assert network == semconv.network(transport)


def test_no_name_is_used_twice() -> None:
    """Two constants never stand for one attribute."""
    dotted = [
        name
        for constant, name in vars(semconv).items()
        if constant.isupper() and isinstance(name, str) and "." in name
    ]
    assert len(dotted) == len(set(dotted))
