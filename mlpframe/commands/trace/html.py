"""Show a trace as one HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .layout import Block, justify

STYLE = """
:root { color-scheme: light dark;
  --text: #1c1e21; --ground: #fff; --quiet: #5c6370; --line: #d8dce2; --band: #f4f6f8; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e3e5e8; --ground: #16181c; --quiet: #9aa1ac; --line: #363b44; --band: #1f2228; }
}
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--ground); }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.4rem; }
p { margin: 0.2rem 0; color: var(--quiet); }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); border-bottom-width: 2px; } tbody th { font-weight: 600; }
tbody tr:nth-child(even) { background: var(--band); }
.left { text-align: left; }
"""


def page(parts: Iterable[Block]) -> str:
    """One HTML page that needs no other files. The page is also well-formed XML."""
    body: list[str] = []
    for part in parts:
        if part.title:
            body.append(f"<h2>{escape(part.title)}</h2>" if body else f"<h1>{escape(part.title)}</h1>")
        body += [f"<p>{escape(line)}</p>" for line in part.lines]
        if part.rows:
            head = "".join(
                f'<th scope="col" class="{justify(i, heading)}">{escape(heading)}</th>'
                for i, heading in enumerate(part.headings)
            )
            rows = "\n".join(_row(part.headings, row) for row in part.rows)
            body.append(
                f'<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n'
                f"<tbody>\n{rows}\n</tbody></table></div>"
            )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>mlpframe trace</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _row(headings: Sequence[str], row: Sequence[str]) -> str:
    first, *remaining = row
    cells = "".join(
        f'<td class="{justify(i, heading)}">{escape(cell)}</td>'
        for i, (heading, cell) in enumerate(zip(headings[1:], remaining, strict=True), 1)
    )
    return f'<tr><th scope="row" class="left">{escape(first)}</th>{cells}</tr>'
