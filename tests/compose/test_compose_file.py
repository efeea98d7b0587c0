"""The container files agree with the project and keep its promises, as far as can be seen without an engine."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.equipment import load_providers
from service.settings import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BYTES = {"m": 2**20, "g": 2**30}


def read_yaml(*parts: str) -> Any:  # noqa: ANN401 - whatever stands there
    """Read a file of the project."""
    return yaml.safe_load(ROOT.joinpath(*parts).read_text(encoding="utf-8"))


def interpolated() -> set[str]:
    """List the variables that the compose file reads."""
    return set(re.findall(r"\$\{([A-Z_]+)", TEXT))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    """No capabilities, no new rights, limits on everything, and a policy for its death."""
    service = SERVICES[name]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert "unless-stopped" == service["restart"]
    assert {"mem_limit", "cpus", "pids_limit", "logging"} <= set(service)
    assert "privileged" not in service


def test_nothing_is_published_beyond_loopback() -> None:
    """Every port that is published is published on 127.0.0.1."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert [] == [port for port in ports if not port.startswith("127.0.0.1:")]


def test_the_predecessors_ports_are_kept() -> None:
    """MCP is on 3000, then console, health and metrics."""
    defaults = re.findall(r"127\.0\.0\.1:\$\{(EXAI_\w+):-(\d+)\}:", TEXT)
    assert [
        ("EXAI_PORT", "3000"),
        ("EXAI_CONSOLE_PORT", "3001"),
        ("EXAI_HEALTH_PORT", "3002"),
        ("EXAI_METRICS_PORT", "3003"),
    ] == defaults


def test_the_service_and_prometheus_need_no_profile() -> None:
    """What a person gets who sets nothing is the service, and what scrapes it."""
    assert ["exai", "prometheus"] == [name for name, service in SERVICES.items() if "profiles" not in service]
    assert {"observability"} == {name for service in SERVICES.values() for name in service.get("profiles", ())}


def test_no_password_has_a_default() -> None:
    """No variable and no secret of the stack has a value that an attacker could read here."""
    written = {
        name: value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if re.search("PASSWORD|TOKEN|KEY|SECRET", name)
    }
    assert [] == [
        name for name, value in written.items() if not re.fullmatch(r"\$\{\w+:[-+](/run/secrets/\w+)?\}", value)
    ]
    files = [secret["file"] for secret in COMPOSE["secrets"].values()]
    assert {"./secrets/none"} == {file.partition(":-")[2].rstrip("}") for file in files}
    assert b"" == (ROOT / "secrets" / "none").read_bytes()
    assert "true" == SERVICES["grafana"]["environment"]["GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION"]


def test_every_image_has_a_version() -> None:
    """An image of others is named by a tag that is no moving target, and can be replaced by a digest."""
    images = [service["image"] for service in SERVICES.values() if "build" not in service]
    assert [] == [
        image for image in images if not re.fullmatch(r"\$\{\w+_IMAGE:-[\w/.-]+:v?\d+\.\d+\.\d+\}", image)
    ]


def test_every_mounted_file_is_there() -> None:
    """Docker would make a folder where a file is missing."""
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", ())]
    mounted = [volume.split(":")[0] for volume in volumes if volume.startswith("./")]
    assert [] == [path for path in mounted if not (ROOT / path).exists()]
    assert [] == [volume for volume in volumes if volume.startswith("./") and not volume.endswith(":ro")]
    assert {volume.split(":")[0] for volume in volumes if not volume.startswith("./")} == set(COMPOSE["volumes"])


def test_the_example_names_what_can_be_set_and_nothing_else() -> None:
    """Each name in .env.example means something; each that the compose file reads stands in it, images aside."""
    shown = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE))
    settings = {name for option in OPTIONS for name in option.variables}
    settings |= {name for provider in load_providers().values() for name in provider.key_variables}
    assert set() == shown - settings - interpolated() - {"COMPOSE_PROFILES"}
    images = {name for name in interpolated() if name.endswith("_IMAGE")}
    by_file_only = {"EXAI_WS_TOKEN", "EXAI_ALLOWED_HOSTS"}
    assert set() == interpolated() - shown - images - by_file_only


def test_the_image_holds_every_package() -> None:
    """A package of the project that the Dockerfile forgot would be missing at the first start."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (\w+) /opt/exai/app/\1$", dockerfile, re.MULTILINE)
    assert sorted({*packages, "grafana"}) == sorted(copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(ignored)
    assert "syntax=" not in dockerfile


def test_the_collectors_way_is_whole() -> None:
    """Each part of its pipeline is defined, memory is guarded first, and the other end listens."""
    collector, tempo = read_yaml("otel", "collector.yaml"), read_yaml("otel", "tempo.yaml")
    (pipeline,) = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert list(collector[kind]) == pipeline[kind]
    assert "memory_limiter" == pipeline["processors"][0]
    limit = SERVICES["otel-collector"]["mem_limit"]
    assert collector["processors"]["memory_limiter"]["limit_mib"] * 2**20 < int(limit[:-1]) * BYTES[limit[-1]]
    listens = tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert "http://tempo:" + listens.rpartition(":")[2] == collector["exporters"]["otlp_http"]["endpoint"]


def test_prometheus_asks_where_the_service_answers() -> None:
    """The target is a host that the service admits, and the token is where compose puts it."""
    (job,) = [job for job in read_yaml("grafana", "prometheus.yml")["scrape_configs"] if job["job_name"] == "exai"]
    environment = SERVICES["exai"]["environment"]
    assert [f"exai:{environment['EXAI_METRICS_PORT']}"] == job["static_configs"][0]["targets"]
    assert f"exai:{environment['EXAI_METRICS_PORT']}" in environment["EXAI_ALLOWED_HOSTS"].split(",")
    assert "/run/secrets/ws_token" == job["authorization"]["credentials_file"]
    assert "ws_token" in SERVICES["prometheus"]["secrets"]
