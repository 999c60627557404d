"""``python -m benchmarks against REVISION``: compare results and speed with an older revision."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import numpy as np

from .bits import compare_bits, read_history
from .revisions import NEW, OLD, Probe, Revision, check_out, git, this_checkout
from .timing import Times
from .writing import Table, write

RATIO = "new ÷ old"
STEPS = {
    f"{'-'.join(map(str, widths))}, {optimizer}, batch {batch}": (widths, optimizer, batch, rows)
    for widths, optimizer, batch, rows in (
        ((2, 3, 2), "sgd", 1, 10_000),
        ((784, 300, 10), "sgd", 1, 2_000),
        ((784, 300, 10), "adam", 1, 500),
        ((784, 300, 10), "sgd", 50, 5_000),
        ((784, 300, 10), "adam", 50, 5_000),
        ((784, 300, 10), "sgd", 256, 10_240),
        ((784, 300, 10), "adam", 256, 10_240),
    )
}
"""The training steps to time: widths, optimizer, rows of a batch, rows of an epoch."""
EPOCHS = 4
QUIET = ["tracking=none", "callbacks.progress=null", "callbacks.checkpoint=null"]
IMPORTS, MISTYPED = "import hydra, numpy", "mlpframe lrr=1"
COMMANDS = {
    IMPORTS: ["-c", IMPORTS],
    **{name: ["-m", *name.split()] for name in ("mlpframe --help", "mlpframe list", MISTYPED, "mlpframe")},
}
FEW, MANY = 20, 120
SWEEP = ["-m", "mlpframe", "-m", "epochs=2"]
TRACKING = {"with MLflow": [], "tracking=none": ["tracking=none"]}


@click.command()
@click.argument("revision")
@click.option(
    "--only",
    type=click.Choice(["bits", "steps", "commands", "sweeps"]),
    multiple=True,
    help="Do only this part, and write no file; may be repeated.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Rounds in which old and new take turns; sweeps have half as many.",
)
def against(revision: str, only: tuple[str, ...], rounds: int) -> None:
    """Compare the results and the speed of this checkout with those of an older REVISION.

    The revision gets its own work tree and virtual environment in outputs/against, which later calls use
    again. If the revision allows it, its environment gets the library versions that are installed here. Old
    and new take turns.

    \b
    bits      trains small networks with every layer, loss, optimizer, schedule, engine, … that both
              revisions have, and shows which weights and histories differ, and by how much
    steps     times a training step of the networks 784-300-10 and 2-3-2, on one thread
    commands  times --help, list, a command with a mistyped key, and the default run
    sweeps    times one more run in a sweep, with MLflow and without
    """
    commit = git("rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    sides = {OLD: check_out(commit), NEW: this_checkout()}
    tables = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for side in sides:
            (folder / side).mkdir()
        probes = {side: stack.enter_context(sides[side].probe(folder / side)) for side in sides}
        parts: dict[str, Callable[[], list[Table]]] = {
            "bits": lambda: compare_bits(folder, sides, probes),
            "steps": lambda: [_steps(folder, probes, rounds)],
            "commands": lambda: [_commands(folder, sides, rounds)],
            "sweeps": lambda: [_sweeps(folder, sides, max(1, rounds // 2))],
        }
        text = _text(commit, probes)
        click.echo(text)
        for part in only or parts:
            for table in parts[part]():
                table.show()
                tables.append(table)
    if not only:
        write("against", "This checkout against an older revision", text, tables)


def _text(commit: str, probes: Mapping[str, Probe]) -> str:
    old, new = (probes[side].about["libraries"] for side in (OLD, NEW))
    moved = [
        f"{name} {old[name]} → {new[name]}" for name in sorted(old.keys() & new) if old[name] != new[name]
    ]
    was, now = git("log", "-1", "--format=%h, %s", commit), git("describe", "--always", "--dirty")
    return (
        f"Old: {was}. New: {now}. Library versions that differ: {', '.join(moved) or 'none'}.\n"
        f"Times are medians over the rounds; {RATIO} is the median of the ratios within a round:\n"
        "above 1, this checkout is slower."
    )


def _in_turn(rounds: int, cases: Mapping[str, Callable[[str], float]]) -> Times:
    """Time every case with the old and the new revision in each round. They take turns at going first."""
    seconds: dict[str, list[float]] = {f"{side} {name}": [] for name in cases for side in (OLD, NEW)}
    for turn in range(rounds):
        for name, measure in cases.items():
            for side in (OLD, NEW) if turn % 2 else (NEW, OLD):
                seconds[f"{side} {name}"].append(measure(side))
    return Times(seconds)


def _row(times: Times, name: str, *, micro: bool = False) -> list[str]:
    """A table row for one case: the medians of old and new, and the median of the ratios within a round."""
    old, new = f"{OLD} {name}", f"{NEW} {name}"
    medians = [times.median(old), times.median(new)]
    shown = [f"{seconds * 1e6:.1f}" if micro else f"{seconds:.2f}" for seconds in medians]
    return [name, *shown, f"{times.ratio(new, old):.3f}"]


def _steps(folder: Path, probes: Mapping[str, Probe], rounds: int) -> Table:
    times = _in_turn(rounds, {name: partial(_step, folder, probes, name) for name in STEPS})
    rows = [_row(times, name, micro=True) for name in STEPS]
    return Table("A training step, one thread", ("network", "old µs", "new µs", RATIO), rows)


def _step(folder: Path, probes: Mapping[str, Probe], name: str, side: str) -> float:
    """Train one network. Returns the seconds of a step, from the median epoch without the first epoch."""
    widths, optimizer, batch, rows = STEPS[name]
    data = folder / f"{name}.npz"
    if not data.exists():
        rng = np.random.default_rng(0)
        x = rng.standard_normal((rows, widths[0]), np.float32)
        np.savez(data, x=x, y=np.arange(rows) % widths[-1])
    hidden = ",".join(map(str, widths[1:-1]))
    network = f"model.hidden=[{hidden}] model.activation=sigmoid optimizer={optimizer} lr=0.001"
    loop = f"batch_size={batch} epochs={EPOCHS} threads=1 dataset.validation=0"
    run = probes[side].fit(data, [*network.split(), *loop.split(), *QUIET])
    if run is None:
        raise click.ClickException(f"the {side} revision cannot train {name}")
    seconds = read_history(run)["time/epoch_seconds"][1:, 1]
    return float(np.median(seconds)) * batch / rows


def _commands(folder: Path, sides: Mapping[str, Revision], rounds: int) -> Table:
    def seconds(name: str, side: str) -> float:
        return sides[side].seconds(folder / side, *COMMANDS[name], status=2 if name == MISTYPED else 0)

    cases = {name: partial(seconds, name) for name in COMMANDS}
    _in_turn(1, cases)  # first calls write bytecode and create MLflow's store
    times = _in_turn(rounds, cases)

    def to_imports(name: str) -> list[str]:
        return [f"{times.ratio(f'{side} {name}', f'{side} {IMPORTS}'):.1f}" for side in (OLD, NEW)]

    rows = [[*_row(times, name), *to_imports(name)] for name in COMMANDS]
    headings = ("command", "old s", "new s", RATIO, f"old ÷ {IMPORTS}", f"new ÷ {IMPORTS}")
    return Table("A command", headings, rows)


def _sweeps(folder: Path, sides: Mapping[str, Revision], rounds: int) -> Table:
    def seconds(name: str, side: str) -> float:
        few, many = (
            sides[side].seconds(folder / side, *SWEEP, f"seed=range({runs})", *TRACKING[name])
            for runs in (FEW, MANY)
        )
        return (many - few) / (MANY - FEW)

    for side in sides:
        sides[side].seconds(folder / side, *SWEEP, "seed=0")  # creates MLflow's store
    times = _in_turn(rounds, {name: partial(seconds, name) for name in TRACKING})
    title = "One more run in a sweep over seeds: digits, 2 epochs"
    return Table(title, ("", "old s", "new s", RATIO), [_row(times, name) for name in TRACKING])
