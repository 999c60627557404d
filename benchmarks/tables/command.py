"""The command ``tables``: measure the contenders that have no result yet, then write the page."""

from __future__ import annotations

import click

from ..timing import THREADS, apart
from . import page, store
from .catalog import CATALOG, HALVES, SPLITS
from .contenders import CONTENDERS
from .contest import run


@click.command()
@click.option("--table", "tables_", multiple=True, type=click.Choice([entry.name for entry in CATALOG]))
@click.option("--half", type=click.Choice(list(page.TITLES)), help="Only the tables of this half.")
@click.option("--contender", "contenders", multiple=True, type=click.Choice(list(CONTENDERS)))
@click.option("--again", is_flag=True, help="Run the chosen ones even where a result is known.")
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Processors to use.")
def tables(
    tables_: tuple[str, ...], half: str | None, contenders: tuple[str, ...], again: bool, threads: int
) -> None:
    """Judge the defaults on tables of data and write docs/tables.md.

    Results are kept in outputs/tables/results.jsonl, so an interrupted run continues. With --table, --half
    or --contender the page is not written.
    """
    chosen = [
        e.name for e in CATALOG if (not tables_ or e.name in tables_) and half in (None, HALVES[e.name])
    ]
    apart(threads, _measure, chosen, contenders or tuple(CONTENDERS), again)
    if not (tables_ or half or contenders):
        page.PAGE.write_text(page.render(store.load(), list(CONTENDERS)))


def _measure(tables: list[str], contenders: tuple[str, ...], again: bool) -> None:
    """Measure the missing results: all tables on the first split, then all tables on the second, and so on.

    So, after an interruption, all tables have results for about the same splits.
    """
    known = {} if again else store.load()
    for seed in SPLITS:
        for entry in CATALOG:
            missing = [name for name in contenders if (entry.name, seed, name) not in known]
            if entry.name not in tables or not missing:
                continue
            frame = entry.frame()
            for name in missing:
                result = run(entry, frame, seed, name, CONTENDERS[name])
                store.append(result)
                score = "diverged" if result.score is None else f"{result.score:.4g}"
                click.echo(f"{entry.name}, split {seed}, {name}: {score} ({result.seconds:.1f} s)")
