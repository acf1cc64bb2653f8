#!/usr/bin/env python3
"""Draws the layout of the Grafana dashboard: docs/dashboard.svg from grafana/dashboards/popbridge.json.

    scripts/dashboard_svg.py            writes the picture
    scripts/dashboard_svg.py --check    fails where it is not the dashboard's (a test asks)

Titles and places are the dashboard's. Curves, numbers and bars are only there to tell kinds of panels apart.
"""

import json
import pathlib
import sys
from xml.sax.saxutils import escape

ROOT = pathlib.Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "grafana/dashboards/popbridge.json"
PICTURE = ROOT / "docs/dashboard.svg"

COLUMN = 40  # pixels; Grafana has 24 columns
UNIT = 14  # pixels of one unit of height
MARGIN = 12
TOP = 64
GAP = 4
COLOURS = ["#2f80c2", "#3a9d5d", "#d98324", "#8456b8"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


def text(x, y, words, size=11, fill="#1f2933", weight="400", anchor="start"):
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{fill}" font-weight="{weight}" '
        f'text-anchor="{anchor}">{escape(words)}</text>'
    )


def fitting(words, width, size=11):
    """As much of the words as there is room for."""
    room = int(width / (size * 0.56))
    return words if len(words) <= room else words[: room - 1].rstrip() + "…"


def curve(panel, x, y, width, height, number):
    """A line that is the same each time, and another one for each panel."""
    points, seed = [], panel["id"] * 37 + number * 101
    for step in range(25):
        seed = (seed * 1103515245 + 12345) % 2**31
        level = 0.25 + 0.5 * (seed / 2**31) if step % 2 else 0.35 + 0.3 * (seed / 2**31)
        points.append(f"{x + width * step / 24:.0f},{y + height * (1 - level * (1 - 0.22 * number)):.0f}")
    colour = COLOURS[number % len(COLOURS)]
    return f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.3" opacity="0.75"/>'


def inside(panel, x, y, width, height):
    """What tells the kind of a panel."""
    kind = panel["type"]
    if kind == "stat":
        level = panel["options"]["colorMode"] == "background"
        fill = "#3a9d5d" if level else "#eaf1f8"
        yield f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="{fill}"/>'
        yield text(x + width / 2, y + height / 2 + 7, "ok" if level else "42", 20, "#fff" if level else "#2f80c2", "600", "middle")
    elif kind == "bargauge":
        for number, part in enumerate((0.35, 0.6, 0.85)):
            top, colour = y + 6 + number * 22, ("#3a9d5d", "#3a9d5d", "#d98324")[number]
            yield f'<rect x="{x}" y="{top}" width="{width}" height="12" rx="2" fill="#eef1f4"/>'
            yield f'<rect x="{x}" y="{top}" width="{width * part:.0f}" height="12" rx="2" fill="{colour}"/>'
    elif kind == "table":
        names = next(t for t in panel["transformations"] if t["id"] == "organize")["options"]["renameByName"].values()
        step = width / len(names)
        for number, name in enumerate(names):
            yield text(x + 4 + step * number, y + 10, fitting(name, step - 8), 10, "#52606d", "600")
            for line in range(1, int(height // 18)):
                yield f'<rect x="{x + 4 + step * number:.0f}" y="{y + 4 + 18 * line}" width="{step * 0.5:.0f}" height="6" rx="3" fill="#dbe2e9"/>'
    else:
        yield f'<path d="M{x} {y} V{y + height} H{x + width}" fill="none" stroke="#cbd2d9"/>'
        for number in range(min(3, 1 + len(panel["targets"]) + panel["id"] % 2)):
            yield curve(panel, x, y, width, height, number)


def picture(dashboard):
    panels = dashboard["panels"]
    bottom = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in panels)
    width, height = 24 * COLUMN + 2 * MARGIN, bottom * UNIT + TOP + MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="{FONT}">'
    )
    yield f"<title>The panels of the dashboard {escape(dashboard['title'])}, row by row</title>"
    yield f'<rect width="{width}" height="{height}" rx="12" fill="#f1f3f5"/>'
    yield text(MARGIN + 4, 28, dashboard["title"], 18, weight="600")
    x = MARGIN + 4
    for variable in dashboard["templating"]["list"]:
        label = variable["label"]
        box = len(label) * 7 + 16
        yield f'<rect x="{x}" y="38" width="{box}" height="20" rx="4" fill="#fff" stroke="#9aa5b1"/>'
        yield text(x + 8, 52, label, 11, "#334e68")
        x += box + 8
    for panel in panels:
        at = panel["gridPos"]
        x, y = MARGIN + at["x"] * COLUMN, TOP + at["y"] * UNIT
        if panel["type"] == "row":
            yield text(x + 4, y + 10, panel["title"], 12, "#243b53", "700")
            continue
        w, h = at["w"] * COLUMN - GAP, at["h"] * UNIT - GAP
        yield f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="4" fill="#fff" stroke="#d3dae1"/>'
        yield text(x + 8, y + 14, fitting(panel["title"], w - 16), 11, weight="600")
        yield from inside(panel, x + 8, y + 22, w - 16, h - 30)
    yield "</svg>"


def main():
    drawn = "\n".join(picture(json.loads(DASHBOARD.read_text()))) + "\n"
    if sys.argv[1:] != ["--check"]:
        PICTURE.write_text(drawn)
    elif not PICTURE.exists() or PICTURE.read_text() != drawn:
        sys.exit("docs/dashboard.svg is not the dashboard's any more: scripts/dashboard_svg.py draws it anew")


if __name__ == "__main__":
    main()
