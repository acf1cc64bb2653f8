"""The tables, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from .goals import GOALS, Goal
from .results import Results
from .scenarios import SCENARIOS, Metric
from .targets import Target

# What popbridge is compared with, by whether the upstream is reached by TLS.
REFERENCES = {False: "peer-idx", True: "peer-imaps"}


def row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def figure(results: Results, scenario: str, target: str, metric: Metric) -> str:
    value = results.median(scenario, target, metric.key)
    if value is None:
        return ""
    return f"{value * metric.scale:,.{metric.digits}f}" + ("*" if results.flawed(scenario, target) else "")


def ratio(results: Results, scenario: str, target: Target, metric: Metric) -> str:
    """How many times better than the reference."""
    value = results.median(scenario, target.name, metric.key)
    reference = results.median(scenario, REFERENCES[target.imaps], metric.key)
    if value is None or reference is None:
        return ""
    better, worse = (value, reference) if metric.higher_is_better else (reference, value)
    return f"{better / worse:.2f}" if worse > 0 else "–"


def table(results: Results, targets: list[Target], imaps: bool) -> str:
    """All figures of those who reach the upstream so: a line a metric, a column a target, and how many times better popbridge is."""
    measured = {target for _, target in results.runs}
    columns = [target for target in targets if target.name in measured and target.imaps == imaps]
    if not columns:
        return "None."
    reference = REFERENCES[imaps]
    ours = [target for target in columns if target.kind == "popbridge" and reference in measured]
    head = ["scenario", "metric"] + [target.name for target in columns]
    lines = [row(head + [f"{target.name} : {reference}" for target in ours])]
    lines.append(row(["---", "---"] + ["---:"] * (len(columns) + len(ours))))
    for scenario in SCENARIOS:
        if not any(results.of(scenario.name, target.name) for target in columns):
            continue
        for metric in scenario.metrics:
            cells = [scenario.name, metric.label]
            cells += [figure(results, scenario.name, target.name, metric) for target in columns]
            cells += [ratio(results, scenario.name, target, metric) for target in ours]
            if any(cells[2:]):
                lines.append(row(cells))
    return "\n".join(lines)


def value_of(results: Results, goal: Goal) -> float | None:
    """What was reached; None where something for it was not measured."""
    value = results.median(goal.scenario, goal.target, goal.figure)
    if value is None or not goal.against:
        return None if value is None else value * goal.scale
    other = results.median(goal.scenario, goal.against, goal.figure)
    if other is None:
        return None
    above, below = (other, value) if goal.inverse else (value, other)
    return above / below if below else None


def met(value: float, goal: Goal) -> bool:
    if goal.relation == "≥":
        return value >= goal.bound
    return value <= goal.bound if goal.relation == "≤" else value < goal.bound


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def goals(results: Results) -> str:
    """Every goal of the measured scenarios with what was reached."""
    lines = [row(["scenario", "goal", "wanted", "measured", ""]), row(["---", "---", "---:", "---:", "---"])]
    measured = {scenario for scenario, _ in results.runs}
    for goal in GOALS:
        if goal.scenario not in measured:
            continue
        value = value_of(results, goal)
        suffix = f" {goal.unit}" if goal.unit else ("×" if goal.against else "")
        if value is None:
            verdict, reached = "not measured", ""
        elif results.flawed(goal.scenario, goal.target) and goal.figure != "errors":
            verdict, reached = "**missed** (errors)", number(value) + suffix
        else:
            verdict, reached = ("reached" if met(value, goal) else "**missed**"), number(value) + suffix
        lines.append(row([goal.scenario, goal.what, f"{goal.relation} {goal.bound:g}{suffix}", reached, verdict]))
    return "\n".join(lines)


def about(results: Results) -> str:
    """Machine, versions, date, command."""
    lines = [row(["", ""]), row(["---", "---"])]
    lines += [row([key, f"`{value}`" if key == "command" else str(value)]) for key, value in results.about.items()]
    return "\n".join(lines)


def legend(results: Results, targets: list[Target]) -> str:
    """What the names mean."""
    scenarios = {scenario for scenario, _ in results.runs}
    columns = {target for _, target in results.runs}
    lines = [f"- `{target.name}`: {target.what}" for target in targets if target.name in columns]
    lines.append("")
    lines += [f"- `{scenario.name}`: {scenario.what}" for scenario in SCENARIOS if scenario.name in scenarios]
    return "\n".join(lines)


def everything(results: Results, targets: list[Target]) -> str:
    """What docs/performance.md has between its markers."""
    repetitions = max((run["repetition"] + 1 for some in results.runs.values() for run in some), default=0)
    disturbed, runs = results.disturbed()
    notes = f"Medians of {repetitions} (idle1000 and office: one run)." if repetitions > 1 else "One run."
    notes += " Columns `:` say how many times better than that peer: above 1 is better. `*`: there were errors."
    if disturbed:
        notes += f" During {disturbed} of {runs} runs the machine did a lot else."
    parts = [
        about(results),
        "## Goals",
        goals(results),
        "## Figures",
        notes,
        table(results, targets, imaps=False),
        "With TLS to the upstream:",
        table(results, targets, imaps=True),
        "## Names",
        legend(results, targets),
    ]
    return "\n\n".join(parts) + "\n"
