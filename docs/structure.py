"""Draw which folder of mlpframe imports which: ``python docs/structure.py`` writes ``docs/structure.svg``.

The arrows are read from the imports in the code. With ``--check`` nothing is written; the exit status is 1 if
the picture in the repository differs from the picture that the code gives now.
"""

from __future__ import annotations

import ast
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mlpframe"
PICTURE = Path(__file__).with_name("structure.svg")
ROOMS = (
    ("cli",),
    ("commands",),
    ("runs", "estimators"),
    ("tracking", "figures"),
    ("analysis", "testing"),
    ("training",),
    ("config", "discovery"),
    ("api",),
    ("registry",),
)
"""The "rooms", the folders and modules that are drawn, from top to bottom; small modules are left out."""
WIDTH, HEIGHT, GAP = 150, 34, 30
STYLE = """
rect { fill: #f4f6f8; stroke: #5c6370; } text { font: 14px sans-serif; fill: #1c1e21; text-anchor: middle; }
path { fill: none; stroke: #3b82d6; stroke-opacity: 0.55; }
"""


def imported(room: str) -> set[str]:
    """The rooms (folders or modules) from which the files of a room import."""
    files = sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    names: set[str] = set()
    for file in files:
        package = list(file.relative_to(ROOT).with_suffix("").parts[:-1])
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = package[: len(package) - node.level + 1] + (node.module or "").split(".")
                names |= {base[1]} if len(base) > 1 and base[1] else {alias.name for alias in node.names}
    return names & {name for row in ROOMS for name in row} - {room}


def picture() -> str:
    """The picture as SVG."""
    places: dict[str, tuple[float, float]] = {}
    width = 3 * (WIDTH + GAP)
    for row, names in enumerate(ROOMS):
        for column, name in enumerate(names):
            x = width / 2 + (column - (len(names) - 1) / 2) * (WIDTH + GAP)
            places[name] = x, GAP + row * (HEIGHT + GAP) + HEIGHT / 2
    parts = []
    for name, (x, y) in places.items():
        for other in sorted(imported(name)):
            to_x, to_y = places[other]
            bend = (x + to_x) / 2 + (to_y - y) / 3 * (1 if x >= width / 2 else -1)
            below, above = y + HEIGHT / 2, to_y - HEIGHT / 2
            middle = (below + above) / 2
            end = f"{to_x:.0f} {above:.0f}"
            parts.append(f'<path d="M {x:.0f} {below:.0f} Q {bend:.0f} {middle:.0f} {end}"/>')
    for name, (x, y) in places.items():
        corner = f'x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}"'
        parts.append(f'<rect {corner} width="{WIDTH}" height="{HEIGHT}" rx="6"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 5:.0f}">{escape(name)}</text>')
    height = GAP + len(ROOMS) * (HEIGHT + GAP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">'
    return "\n".join([head, f"<style>{STYLE}</style>", *parts, "</svg>", ""])


def main() -> int:
    if "--check" not in sys.argv:
        PICTURE.write_text(picture(), "utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text("utf-8") != picture():
        print("docs/structure.svg is not what the code gives: run python docs/structure.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
