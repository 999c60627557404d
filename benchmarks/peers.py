"""``python -m benchmarks peers``: a training step of mlpframe and of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click

from mlpframe.training.engines.online import BLOCK_ROWS, MOST_ROWS

from . import contenders
from .contenders import Case
from .timing import THREADS, Contender, Times, apart, interleaved
from .writing import OWN, Table, comparison, on_threads, write, write_comparisons

TINY, MNIST = (2, 3, 2), (784, 300, 10)
LARGE = (784, 2500, 2000, 1500, 1000, 500, 10)
CASES = [
    Case(widths, batch, optimizer)
    for widths in (TINY, MNIST, (784, 800, 800, 10), (30, 64, 64, 1), LARGE)
    for optimizer in ("sgd", "adam")
    for batch in ((50,) if widths == LARGE else (1, 10, 50, 256))
]

MICROSECONDS = "µs a step"
TARGETS: dict[Case, dict[str, float]] = {
    Case(TINY, 1): {
        MICROSECONDS: 15,
        **dict.fromkeys(("plain NumPy loop", "scikit-learn", "PyTorch eager", "JAX jit"), 1),
    },
    **{
        Case(MNIST, batch): dict(
            zip(
                ("plain NumPy loop", "PyTorch eager", "scikit-learn", "JAX lax.scan", "bare products"),
                bounds,
                strict=True,
            )
        )
        for batch, bounds in {
            1: (0.08, 0.10, 0.07, 1.0, 3),
            50: (0.45, 0.80, 0.75, 1.1, 1.3),
            256: (0.48, 0.85, 0.85, 1.0, 1.22),
        }.items()
    },
    Case(MNIST, 50, "adam"): {"PyTorch eager": 0.7, "PyTorch fused": 1.0},
}
"""The targets on one thread: the largest allowed number of microseconds, or ratio to a contender."""


def makers(case: Case, *, compiled: bool) -> dict[str, Callable[[], Contender | None]]:
    """For a case, the functions that make the contenders, by the contender's name."""
    block = BLOCK_ROWS // case.batch if case.batch <= MOST_ROWS and case.optimizer == "sgd" else 1
    makers: dict[str, Callable[[], Contender | None]] = {
        OWN: lambda: contenders.mlpframe(case),
        "bare products": lambda: contenders.products(case, block),
        "plain NumPy loop": lambda: contenders.plain_loop(case),
        "scikit-learn": lambda: contenders.sklearn(case),
        "PyTorch eager": lambda: contenders.torch(case),
        "JAX jit": lambda: contenders.jax(case, scan=False),
        "JAX lax.scan": lambda: contenders.jax(case, scan=True),
    }
    if case.optimizer == "adam":
        makers["PyTorch fused"] = lambda: contenders.torch(case, fused=True)
    if compiled:
        makers["PyTorch compile"] = lambda: contenders.torch(case, compiled=True)
    return makers


@click.command()
@click.option("--threads", type=THREADS, multiple=True, default=(1, 2), help="Number of processors to use.")
@click.option("--rounds", default=15, show_default=True, help="Rounds in which all contenders take turns.")
@click.option("--compile", "compiled", is_flag=True, help="Include torch.compile (a minute for each case).")
@click.option(
    "--case",
    "chosen",
    multiple=True,
    help="Measure only cases whose name contains this; write no file.",
)
def peers(threads: tuple[int, ...], rounds: int, compiled: bool, chosen: tuple[str, ...]) -> None:
    """Time a training step, mlpframe ÷ other libraries: medians of paired ratios."""
    for number in threads:
        apart(number, _measure, number, rounds, compiled, chosen)


def _measure(threads: int, rounds: int, compiled: bool, chosen: tuple[str, ...]) -> None:
    results = {}
    for case in CASES:
        if chosen and not any(part in str(case) for part in chosen):
            continue
        made = {name: make() for name, make in makers(case, compiled=compiled).items()}
        present = {name: contender for name, contender in made.items() if contender is not None}
        results[case] = interleaved(present, rounds=rounds)
        comparison(f"{case}, {on_threads(threads)}", "step", results[case]).show()
    if chosen:
        return
    by_name = {str(case): times for case, times in results.items()}
    write_comparisons(f"peers-{threads}", f"A training step, {on_threads(threads)}", "step", by_name)
    if threads == 1:
        table = _targets(results)
        table.show()
        write(
            "targets",
            table.title,
            "Targets are upper bounds; ÷: mlpframe ÷ the contender.",
            [table],
        )


def _targets(results: Mapping[Case, Times]) -> Table:
    rows = []
    for case, bounds in TARGETS.items():
        times = results[case]
        for name, bound in bounds.items():
            if name == MICROSECONDS:
                what, measured = name, times.median(OWN) * 1e6
            elif name in times.seconds:
                what, measured = f"÷ {name}", times.ratio(OWN, name)
            else:
                continue  # the library is not installed
            verdict = "reached" if measured <= bound else "missed"
            rows.append((str(case), what, f"{bound:g}", f"{measured:.3g}", verdict))
    return Table("Targets, 1 thread", ("case", "measure", "target", "measured", ""), rows)
