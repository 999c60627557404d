"""``python -m benchmarks damage``: thousands of damaged and hostile files, read and given to the command."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import click

from ..writing import Table, write
from .damages import WEIGHTS
from .kinds import kinds
from .running import Outcome, cases, run, run_command

TEXT = """\
Every kind of file that mlpframe reads, damaged at random: one byte flipped, cut anywhere, bytes inserted,
empty, or a valid file with the wrong content: arrays or keys that are missing, of other shapes or types,
not finite; labels of 2⁴⁰; headers that claim terabytes; archives that unpack to gigabytes; members twice;
odd plain values. A case passes if it ends within 10 s of processor time and 4 GB in a result, or in a
message of one to three lines that is raised where the file is read. Failures are tracebacks, errors that
only a catch-all puts into words, values that are not finite and reach the training, processes that are
killed, and damaged files that are read with other values although they have a checksum. `.npy`, `.csv`,
records and IDX files have none, and of a Parquet file only the pages have one."""


@click.command()
@click.option("--cases", "number", default=15_000, show_default=True, help="Cases in one process.")
@click.option("--through-command", default=300, show_default=True, help="Cases by the command line.")
@click.option("--seed", default=0, show_default=True, help="Of all that is random.")
@click.option("--only", type=int, default=None, help="Repeat the case of this number alone.")
@click.option("--kind", "only_kind", default=None, help="Only the cases of this kind of file.")
def damage(number: int, through_command: int, seed: int, only: int | None, only_kind: str | None) -> None:
    """Read damaged and hostile files; print every one that does not end in a result or in words."""
    by_name = kinds()
    chosen = cases(number if only is None else max(number, only + 1), seed, list(by_name))
    if only is not None:
        chosen, through_command = [chosen[only]], 0
    if only_kind is not None:
        chosen = [case for case in chosen if case.kind == only_kind]
    outcomes = []
    for outcome in run(chosen):
        outcomes.append(outcome)
        _show(outcome, verbose=only is not None)
    commands = []
    useful = [case for case in chosen if by_name[case.kind].command]
    for case in Random(seed).sample(useful, min(through_command, len(useful))):
        commands.append(run_command(case, by_name[case.kind]))
        _show(commands[-1], verbose=False)
    tables = [_by_kind("In one process", outcomes), _by_damage("In one process, by damage", outcomes)]
    if commands:
        tables.append(_by_kind("By the command", commands))
    for table in tables:
        table.show()
    if only is None and only_kind is None:
        write("damage", "Damaged and hostile files", f"{TEXT}\n\nSeed {seed}.", tables)
    failed = sum(outcome.failed for outcome in [*outcomes, *commands])
    if failed:
        raise click.ClickException(f"{failed} cases failed")


def _show(outcome: Outcome, *, verbose: bool) -> None:
    case = outcome.case
    if outcome.failed:
        click.echo(
            f"{case}: {outcome.result}: {outcome.detail}\n"
            f"  repeat: python -m benchmarks damage --seed {case.seed} --only {case.number}"
        )
    elif verbose:
        click.echo(f"{case}: {outcome.result} {outcome.detail}")


def _by_kind(title: str, outcomes: Sequence[Outcome]) -> Table:
    return _table(title, "file", [(outcome.case.kind, outcome) for outcome in outcomes])


def _by_damage(title: str, outcomes: Sequence[Outcome]) -> Table:
    order = list(WEIGHTS)
    pairs = sorted(
        ((outcome.case.damage, outcome) for outcome in outcomes), key=lambda pair: order.index(pair[0])
    )
    return _table(title, "damage", pairs)


def _table(title: str, what: str, pairs: Sequence[tuple[str, Outcome]]) -> Table:
    rows = []
    for name in [*dict.fromkeys(name for name, _ in pairs), "all"]:
        results = Counter(outcome.result for key, outcome in pairs if name in (key, "all"))
        failed = sum(count for result, count in results.items() if result not in ("same", "other", "words"))
        counts = (results.total(), results["same"], results["other"], results["words"], failed)
        rows.append((name, *(f"{count:,}" for count in counts)))
    return Table(title, (what, "cases", "same values", "other values", "in words", "failures"), rows)
