"""Containers: the stack of `docker-compose.yml`, from a clean copy of the project and under a name of its own."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.processes import ROOT

PROJECT = "exai-compose-test"
COMMAND_S = 420  # to build from nothing is the longest
COPIED = (
    "Dockerfile",
    ".dockerignore",
    "docker-compose.yml",
    "requirements",
    "service",
    "console",
    "otel",
    "grafana",
    "secrets/none",
)
PASSED_ON = ("PATH", "HOME", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "DOCKER_CERT_PATH")


class Stack:
    """The stack under a project name of its own; its files are a copy without `.env` and without anybody's keys.

    Attributes:
        folder: where the copy is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environ = {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def docker(
        self, *words: str, check: bool = True, said: str = "", environ: Mapping[str, str] | None = None
    ) -> str:
        """Run `docker`; give what it wrote, both ways.

        Args:
            words: of its command line.
            check: whether a status other than 0 fails the test.
            said: its standard input.
            environ: added to a bare environment.
        """
        done = subprocess.run(
            ["docker", *words],  # noqa: S607 - whichever engine the person who tests has
            cwd=self.folder,
            env={**self._environ, **(environ or {})},
            input=said,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_S,
        )
        assert done.returncode == 0 or not check, f"docker {' '.join(words)}: {done.stdout[-4000:]}"
        return done.stdout

    def compose(self, *words: str, check: bool = True, environ: Mapping[str, str] | None = None) -> str:
        """Run `docker compose` on the stack."""
        return self.docker("compose", "--project-name", PROJECT, *words, check=check, environ=environ)

    def up(self, *services: str, environ: Mapping[str, str] | None = None) -> None:
        """Bring services up, all without a profile if none is named, and wait until they are healthy."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "90", *services, environ=environ)

    def down(self) -> None:
        """Take everything down, volumes included."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command inside of the service's container."""
        return self.compose("exec", "-T", "exai", *words, check=check)

    def python(self, code: str, *, check: bool = True) -> str:
        """Run a line of Python inside of the service's container."""
        return self.run("python3", "-c", code, check=check)

    def container(self) -> dict[str, Any]:
        """Inspect the service's container."""
        (found,) = json.loads(self.docker("container", "inspect", f"{PROJECT}-exai-1"))
        inspected: dict[str, Any] = found
        return inspected

    def image_bytes(self, name: str) -> int:
        """Say how big an image is, unpacked."""
        return int(self.docker("image", "inspect", "--format", "{{.Size}}", name))

    def fault(self, **fault: object) -> None:
        """Switch a fault of the simulators inside; they listen on the container's loopback alone."""
        books = re.findall(r"Their books: (http://\S+)/books", self.compose("logs", "exai"))[-1]
        body = json.dumps({"faults": [fault]})
        self.python(
            "from urllib.request import Request, urlopen; "
            f"urlopen(Request({books + '/faults'!r}, {body.encode()!r}, "
            "{'Content-Type': 'application/json'}, method='PUT'))"
        )


@contextmanager
def stack(folder: Path) -> Iterator[Stack]:
    """Build and start the stack while the context lasts; containers, networks and volumes end with it."""
    for name in COPIED:
        source, copy = ROOT / name, folder / name
        copy.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    containers = Stack(folder)
    containers.down()  # what a run that was killed left behind
    try:
        containers.compose("build", "--quiet")
        containers.up()
        yield containers
    finally:
        containers.down()
