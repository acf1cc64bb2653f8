"""The figures of all runs: kept as JSON lines, read back, boiled down to medians."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


class Results:
    """What was measured, by scenario and target."""

    def __init__(self) -> None:
        self.about: dict[str, Any] = {}
        self.runs: dict[tuple[str, str], list[Figures]] = {}

    def add(self, figures: Figures) -> None:
        self.runs.setdefault((figures["scenario"], figures["target"]), []).append(figures)

    def of(self, scenario: str, target: str) -> list[Figures]:
        return self.runs.get((scenario, target), [])

    def median(self, scenario: str, target: str, key: str) -> float | None:
        """None where it was not measured."""
        values = [run[key] for run in self.of(scenario, target) if key in run]
        return statistics.median(values) if values else None

    def flawed(self, scenario: str, target: str) -> bool:
        """Whether some session failed or some message was not what it should be."""
        return any(run["errors"] or run["mismatches"] for run in self.of(scenario, target))

    def any_flaw(self) -> bool:
        return any(self.flawed(scenario, target) for scenario, target in self.runs)

    def disturbed(self) -> tuple[int, int]:
        """How many runs there were during which the machine did a lot else, and how many altogether."""
        runs = [run for some in self.runs.values() for run in some]
        return sum(run["other_cpu_s"] > 0.2 * run["measured_s"] + 0.1 for run in runs), len(runs)

    @staticmethod
    def read(files: Iterable[Path]) -> Results:
        """What earlier runs wrote; where several have the same scenario and target, the last file counts."""
        results = Results()
        for file in files:
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            fresh = Results()
            for line in lines:
                if "about" in line:
                    results.about = line["about"]
                else:
                    fresh.add(line)
            results.runs |= fresh.runs
        return results


class Writer:
    """Appends to a file as the figures come."""

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file.open("a")
        self.write({"about": about})

    def write(self, line: Figures) -> None:
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
