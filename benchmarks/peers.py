"""``python -m benchmarks peers``: the same training step by other libraries, side by side."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits

from . import contenders
from .contenders import Case
from .timing import Contender, Times, interleaved, processors

RESULTS = Path(__file__).parent / "results"
MNIST = (784, 300, 10)
CASES = [
    *(Case(MNIST, batch) for batch in (1, 10, 50, 256)),
    *(Case(MNIST, batch, "adam") for batch in (50, 256)),
    Case((2, 3, 2), 1),
    *(Case((784, 800, 800, 10), batch, optimizer) for batch in (50, 256) for optimizer in ("sgd", "adam")),
    *(Case((30, 64, 64, 1), batch, "adam", regression=True) for batch in (10, 50)),
    Case((784, 2500, 2000, 1500, 1000, 500, 10), 50),
]
BLOCK = 64  # rows of a block of the engine online


def makers(case: Case, *, compiled: bool) -> dict[str, Callable[[], Contender | None]]:
    """Who runs a case, by name."""
    block = max(1, BLOCK // case.batch) if case.batch <= 8 and case.optimizer == "sgd" else 1
    found: dict[str, Callable[[], Contender | None]] = {
        "mlpframe": lambda: contenders.mlpframe(case),
        "bare products": lambda: contenders.products(case, block),
        "plain NumPy loop": lambda: contenders.plain_loop(case),
        "scikit-learn": lambda: contenders.sklearn(case),
        "PyTorch eager": lambda: contenders.torch(case),
        "JAX jit": lambda: contenders.jax(case, scan=False),
        "JAX lax.scan": lambda: contenders.jax(case, scan=True),
    }
    if case.optimizer == "adam":
        found["PyTorch fused"] = lambda: contenders.torch(case, fused=True)
    if compiled:
        found["PyTorch compile"] = lambda: contenders.torch(case, compiled=True)
    return found


@click.command()
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1, 2), help="Processors to use.")
@click.option("--rounds", default=15, show_default=True, help="Rounds of all contenders in turn.")
@click.option("--compile", "compiled", is_flag=True, help="With torch.compile, which takes a minute a case.")
@click.option("--case", "chosen", multiple=True, help="Only cases whose name contains this.")
def peers(threads: tuple[int, ...], rounds: int, compiled: bool, chosen: tuple[str, ...]) -> None:
    """Time a step of mlpframe ÷ a step of others: medians of paired ratios."""
    cases = [case for case in CASES if not chosen or any(part in str(case) for part in chosen)]
    for number in threads:
        results = {}
        with processors(number), threadpool_limits(number, user_api="blas"):
            if contenders.installed("torch"):
                import torch

                torch.set_num_threads(number)
            for case in cases:
                made = {name: make() for name, make in makers(case, compiled=compiled).items()}
                present = {name: contender for name, contender in made.items() if contender is not None}
                results[case] = interleaved(present, rounds=rounds)
                _print(case, number, results[case])
        if not chosen:
            _write(results, number)


def _print(case: Case, threads: int, times: Times) -> None:
    table = Table(title=f"{case}, {threads} thread{'s' * (threads > 1)}", title_justify="left")
    for heading in ("", "µs a step", "mlpframe ÷"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in times.seconds:
        table.add_row(name, f"{times.median(name) * 1e6:.1f}", f"{times.ratio('mlpframe', name):.3f}")
    Console().print(table)


def machine() -> str:
    """What the figures were measured on."""
    found = []
    for package in ("numpy", "torch", "jax", "scikit-learn"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{platform.machine()}, Python {platform.python_version()}, {', '.join(found)}"


def _write(results: dict[Case, Times], threads: int) -> None:
    names = list(dict.fromkeys(name for times in results.values() for name in times.seconds))
    lines = [
        f"# A training step, {threads} thread{'s' * (threads > 1)}",
        "",
        "Time of mlpframe divided by the time of each other: medians of paired ratios of interleaved rounds;",
        f"below 1, mlpframe is faster. {machine()}.",
        "",
        f"| case | µs a step | {' | '.join(f'÷ {name}' for name in names[1:])} |",
        f"|---|---|{'---|' * (len(names) - 1)}",
    ]
    for case, times in results.items():
        ratios = [
            f"{times.ratio('mlpframe', name):.2f}" if name in times.seconds else "" for name in names[1:]
        ]
        lines.append(f"| {case} | {times.median('mlpframe') * 1e6:.1f} | {' | '.join(ratios)} |")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"peers-{threads}.md").write_text("\n".join(lines) + "\n")

    figure = Figure(figsize=(9, 0.5 * len(results) + 2), layout="constrained")
    axes = figure.subplots()
    for k, name in enumerate(names[1:]):
        shown = [(i, t.ratio("mlpframe", name)) for i, t in enumerate(results.values()) if name in t.seconds]
        places, ratios_of = np.array([i for i, _ in shown]), [ratio for _, ratio in shown]
        axes.plot(ratios_of, places + 0.05 * (k - len(names) / 2), "o", label=name)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set(xscale="log", xlabel="time of mlpframe ÷ time of the other (left of 1: mlpframe is faster)")
    axes.set_yticks(range(len(results)), [str(case) for case in results])
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(RESULTS / f"peers-{threads}.png", dpi=110)
