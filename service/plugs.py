"""Plugs: a provider, tool, page or command is one file, found by its folder; a malformed one stops the start."""

import importlib
import pkgutil
from collections.abc import Container
from types import ModuleType
from typing import Any

from service.errors import PlugError


def load(package: ModuleType, constant: str, *members: str, only: Container[str] | None = None) -> dict[str, Any]:
    """Import every file of a folder and take the one object that each must define.

    Files that begin with an underscore are the folder's own tools and are passed over.

    Args:
        package: the folder.
        constant: the name under which each file defines its plug, for example `TOOL`.
        members: attributes that a plug must have; `name` always, and it must be the file's name.
        only: the files that are wanted, if not all.

    Returns:
        The plugs by name, in the order of the file names.

    Raises:
        PlugError: a file cannot be imported, defines no plug, or one without a member or with another name.
    """
    found: dict[str, Any] = {}
    for module in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if module.name.startswith("_") or module.ispkg or (only is not None and module.name not in only):
            continue
        plug = _plug(f"{package.__name__}.{module.name}", constant)
        _check(plug, f"{package.__name__}.{module.name}", ("name", *members))
        if str(plug.name).replace("-", "_") != module.name:
            raise PlugError(
                f"{package.__name__}.{module.name} defines {constant} with the name {plug.name!r}",
                remedy="Give the file and its plug the same name.",
            )
        found[plug.name] = plug
    return found


def _plug(file: str, constant: str) -> Any:  # noqa: ANN401 - each folder has its own shape
    try:
        module = importlib.import_module(file)
    except Exception as error:
        raise PlugError(f"{file} cannot be loaded: {error!r}", remedy=f"Repair or remove {file}.") from error
    if not hasattr(module, constant):
        raise PlugError(
            f"{file} defines no {constant}", remedy=f"Define {constant}, or begin the file's name with _."
        )
    return getattr(module, constant)


def _check(plug: object, file: str, members: tuple[str, ...]) -> None:
    for member in members:
        if not hasattr(plug, member):
            raise PlugError(f"the plug of {file} has no {member!r}", remedy=f"Add {member} to it.")
