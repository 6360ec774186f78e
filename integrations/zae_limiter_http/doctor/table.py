"""A report for people: a table of the routes and the findings, in colour on a terminal and plain in a pipe."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zae_limiter_http.doctor.report import Finding, Report, RouteReport

_WIDTH_OF_A_PIPE = 160


def printed(report: Report, console: Console | None = None) -> None:
    """Print a report."""
    out = console or Console()
    if console is None and not out.is_terminal:
        out = Console(width=_WIDTH_OF_A_PIPE)
    out.print(
        f"{report.framework}, counted in {report.store or 'no store that is named'}", markup=False, highlight=False
    )
    if report.routes:
        out.print(_table(report))
    for finding in report.findings:
        out.print(_told(finding))
    if report.is_well:
        out.print(Text("Nothing is wrong.", style="green"))


def _table(report: Report) -> Table:
    table = Table("route", "rule", "entity", "resource", "limits", "cost", "when")
    for route in report.routes:
        for index, row in enumerate(_rows(route)):
            head = f"{'/'.join(route.methods)} {route.path}" if index == 0 else ""
            table.add_row(Text(head), *(Text(cell) for cell in row))
    return table


def _rows(route: RouteReport) -> list[tuple[str, ...]]:
    if route.exempt is not None:
        return [("exempt", "", "", "", "", f"by {route.exempt}")]
    if not route.rules:
        return [("none",)]
    return [(rule.place, rule.entity, rule.resource, rule.limits, rule.cost, rule.when) for rule in route.rules]


def _told(finding: Finding) -> Text:
    style = "red" if finding.weight == "wrong" else "yellow"
    return Text.assemble((f"{finding.number} ", style), finding.text, (f"\n    {finding.remedy}", "dim"))
