"""What the dashboard and the rules ask Prometheus for, taken apart."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser
import yaml

GRAFANA = Path(__file__).resolve().parents[2] / "grafana"
DASHBOARDS = tuple(sorted((GRAFANA / "dashboards").glob("*.json")))
RULES = tuple(sorted((GRAFANA / "alerts").glob("*.yml")))
ALL = ".+"
_VARIABLES = {"$job": ALL, "$instance": ALL, "$provider": ALL, "$model": ALL}


class Asked(NamedTuple):
    """One query of a panel."""

    panel: str
    expression: str
    is_instant: bool
    has_exemplars: bool


class Selector(NamedTuple):
    """The series that an expression reads: a name, and the labels that are matched."""

    name: str
    labels: frozenset[str]


def dashboard(path: Path) -> dict[str, Any]:
    """Read a dashboard."""
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def panels(path: Path) -> list[dict[str, Any]]:
    """List a dashboard's panels, rows aside."""
    return [panel for panel in dashboard(path)["panels"] if panel["type"] != "row"]


def asked(path: Path) -> Iterator[Asked]:
    """List a dashboard's queries."""
    for panel in panels(path):
        for target in panel["targets"]:
            yield Asked(panel["title"], target["expr"], target["instant"], target["exemplar"])


def rules(path: Path) -> list[dict[str, Any]]:
    """List a file's rules."""
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def substituted(expression: str, *, within: str = "5m", at_rate: str = "1m") -> str:
    """Put values where Grafana would: everything chosen, `within` for the range, `at_rate` for a rate."""
    values = {**_VARIABLES, "$__range": within, "$__rate_interval": at_rate}
    for name, value in sorted(values.items(), key=lambda item: -len(item[0])):
        expression = expression.replace(name, value)
    return expression


def selectors(expression: str) -> Iterator[Selector]:
    """Find what an expression selects."""
    for node in _nodes(promql_parser.parse(expression)):
        if isinstance(node, promql_parser.VectorSelector):
            assert node.name is not None
            yield Selector(node.name, frozenset(matcher.name for matcher in node.matchers.matchers))


def grouped(expression: str) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Find (labels that are grouped by, names below) of each aggregation."""
    for node in _nodes(promql_parser.parse(expression)):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            below = [one for one in _nodes(node.expr) if isinstance(one, promql_parser.VectorSelector)]
            yield frozenset(node.modifier.labels), frozenset(one.name or "" for one in below)


def calls(expression: str, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Find (function, metric) of each selection directly inside one of these functions."""
    for node in _nodes(promql_parser.parse(expression)):
        if isinstance(node, promql_parser.Call) and node.func.name in names:
            yield from ((node.func.name, one.name) for arg in node.args for one in selectors(arg.prettify()))


def _nodes(node: Any) -> Iterator[Any]:  # noqa: ANN401 - the library's nodes share no type
    yield node
    named: Mapping[str, Any] = {
        name: getattr(node, name, None) for name in ("expr", "lhs", "rhs", "vector_selector")
    }
    for below in (*named.values(), *(getattr(node, "args", None) or ())):
        if below is not None:
            yield from _nodes(below)
