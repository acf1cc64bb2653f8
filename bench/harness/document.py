"""Writes the tables into docs/performance.md, between its markers."""

from __future__ import annotations

from pathlib import Path

from .places import BenchError

BEGIN = "<!-- make bench writes from here -->"
END = "<!-- to here -->"


def rewrite(document: Path, tables: str) -> None:
    """Replaces what is between the markers and leaves the rest alone."""
    text = document.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{document} has lost its markers {BEGIN!r} and {END!r}")
    document.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")
