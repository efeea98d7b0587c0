"""Who speaks."""

import pytest

from otel.source import Source, source


def test_the_service_names_itself(of_tests: Source) -> None:
    """Name, version and instance are stated without any setting."""
    stated = of_tests.resource.attributes
    assert (
        stated["service.name"],
        stated["service.version"],
        stated["service.instance.id"],
    ) == ("exai", "1.2.3", "instance-1")
    assert (of_tests.scope.name, of_tests.scope.version) == ("exai.otel", "1.2.3")


def test_the_standard_variables_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator sets stands above what we say of ourselves."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "exai-east")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=lost,service.instance.id=pod-7,zone=a%20b")
    stated = source(version="1.2.3", instance_id="instance-1").resource.attributes
    assert (
        stated["service.name"],
        stated["service.instance.id"],
        stated["zone"],
        stated["service.version"],
    ) == ("exai-east", "pod-7", "a b", "1.2.3")
