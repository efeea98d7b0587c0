"""The parts of every dashboard: variables, queries and panels that are alike wherever they stand.

A panel says where its number comes from, and shows "no data" where there is none: a 0 must have been counted.
"""

from collections.abc import Callable, Iterable
from string import ascii_uppercase
from typing import TypeVar

from grafana.sdk import boards, common, commons, dashboard, prometheus, stat, timeseries

NO_DATA = "no data"
MINE = 'job=~"$job", instance=~"$instance"'
OF_PROVIDER = f'{MINE}, provider=~"$provider"'
OF_MODEL = f'{OF_PROVIDER}, model=~"$model"'
REAL, PLAYED = 'simulated="false"', 'simulated="true"'
ALL = ".+"
_SOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")
_CONSOLE = "http://127.0.0.1:3001"

Query = prometheus.Dataquery
Panel = stat.Panel | timeseries.Panel
_Panel = TypeVar("_Panel", stat.Panel, timeseries.Panel)
_BELOW = common.LegendPlacement.BOTTOM


def query(expression: str, legend: str = "", *, exemplars: bool = False) -> Query:
    """Ask Prometheus; `exemplars` puts points on the graph that lead to receipts."""
    return Query().expr(expression).legend_format(legend).datasource(_SOURCE).range().exemplar(exemplars)


def apart(ask: Callable[[str], str], legend: str = "", *, exemplars: bool = False) -> list[Query]:
    """Ask twice, for they are never added: of real attempts, and of simulated ones, which the legend marks.

    Args:
        ask: writes the expression, given the matcher of the one or the other.
        legend: of the real ones.
        exemplars: as for `query`.
    """
    marks = ((REAL, legend), (PLAYED, f"SIMULATED {legend}".rstrip()))
    return [query(ask(of), name, exemplars=exemplars) for of, name in marks]


def figure(title: str, description: str, unit: str, *queries: Query, width: int = 4) -> stat.Panel:
    """Show the value that each query has now, as a number: an old one would look like today's."""
    for asked in queries:
        asked.instant()
    panel = (
        stat.Panel()
        .reduce_options(commons.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
        .thresholds(_steps("text"))
        .height(5)
        .span(width)
    )
    return _told(panel, title, description, unit, queries)


def alarm(title: str, description: str, unit: str, *queries: Query, width: int = 4) -> stat.Panel:
    """Show a number that should be 0: green then, red above it."""
    return figure(title, description, unit, *queries, width=width).thresholds(_steps("green", red_from=1e-9))


def simulated(title: str, description: str, asked: Query) -> stat.Panel:
    """Show in words, on a coloured ground, whether the money is real."""
    words = {
        "0": dashboard.ValueMappingResult(text="real wallets", color="green"),
        "1": dashboard.ValueMappingResult(text="SIMULATED", color="red"),
    }
    return (
        figure(title, description, "none", asked)
        .mappings([dashboard.ValueMap(options=words)])
        .color_mode(common.BigValueColorMode.BACKGROUND_SOLID)
    )


def graph(title: str, description: str, unit: str, *queries: Query, width: int = 8) -> timeseries.Panel:
    """Show queries over time; a gap is a gap."""
    panel = (
        timeseries.Panel()
        .span_nulls(False)
        .fill_opacity(8)
        .line_width(1)
        .show_points(common.VisibilityMode.AUTO)
        .legend(
            commons.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(_BELOW)
            .show_legend(True)
        )
        .tooltip(commons.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .height(8)
        .span(width)
    )
    return _told(panel, title, description, unit, queries)


def board(
    uid: str, title: str, description: str, rows: Iterable[tuple[str, Iterable[Panel]]]
) -> dashboard.Dashboard:
    """Put rows of panels together under the variables that they use."""
    built = (
        boards.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["exai"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .variables(list(_variables()))
        .annotation(_starts())
        .link(_to_console())
    )
    for name, panels in rows:
        built = built.with_row(boards.Row(name))
        for panel in panels:
            built = built.with_panel(panel)
    return _numbered(built.build())


def _numbered(built: dashboard.Dashboard) -> dashboard.Dashboard:
    """Number the panels, so that links to one stay good."""
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
    return built


def _told(panel: _Panel, title: str, description: str, unit: str, queries: tuple[Query, ...]) -> _Panel:
    for name, asked in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(asked.ref_id(name))
    return panel.title(title).description(description).unit(unit).datasource(_SOURCE).no_value(NO_DATA)


def _steps(lowest: str, *, red_from: float | None = None) -> boards.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color=lowest)]
    if red_from is not None:
        steps.append(dashboard.Threshold(value=red_from, color="red"))
    return boards.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


def _variables() -> Iterable[boards.DatasourceVariable | boards.QueryVariable | boards.TextBoxVariable]:
    yield boards.DatasourceVariable("datasource").label("Data source").type("prometheus")
    yield _choice("job", "Job", "label_values(exai_build_info, job)")
    yield _choice("instance", "Instance", 'label_values(exai_build_info{job=~"$job"}, instance)')
    yield _choice("provider", "Provider", f"label_values(exai_intents_total{{{MINE}}}, provider)")
    yield _choice("model", "Model", f"label_values(exai_intents_total{{{OF_PROVIDER}}}, model)")
    yield boards.TextBoxVariable("console").label("Console").default_value(_CONSOLE)


def _choice(name: str, label: str, values: str) -> boards.QueryVariable:
    every = dashboard.VariableOption(selected=True, text="All", value="$__all")
    return (
        boards.QueryVariable(name)
        .label(label)
        .query(values)
        .definition(values)
        .datasource(_SOURCE)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(ALL)
        .current(every)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _starts() -> boards.AnnotationQuery:
    """Mark each start of the service: counters begin at 0 there."""
    return (
        boards.AnnotationQuery()
        .name("Starts")
        .datasource(_SOURCE)
        .enable(enable=True)
        .icon_color("blue")
        .expr(f"process_start_time_seconds{{{MINE}}} * 1000")
        .use_value_for_time(True)
        .title_format("The service was started")
    )


def _to_console() -> boards.DashboardLink:
    return (
        boards.DashboardLink("Calls and receipts")
        .type(dashboard.DashboardLinkType.LINK)
        .url("${console}/console/calls")
        .icon("external link")
        .tooltip("The console: every call with its receipt; the money of record")
        .target_blank(target_blank=True)
    )
