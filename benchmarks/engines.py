"""``python -m benchmarks engines``: the fastest engine for each size, and the bare matrix products."""

from __future__ import annotations

import click

from . import contenders
from .contenders import Case
from .timing import THREADS, Contender, apart, interleaved
from .writing import Table, on_threads

CASES = [
    *(Case(widths, 1) for widths in ((2, 3, 2), (4, 5, 3), (4, 16, 3), (64, 100, 10))),
    *(Case((784, 300, 10), batch) for batch in (1, 2, 4, 8, 16, 50, 256)),
]
SCALAR_PARAMETERS = 200
ONLINE_ROWS = 16
REPLICAS = 8


@click.command()
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Number of processors to use.")
@click.option("--rounds", default=15, show_default=True, help="Rounds in which all contenders take turns.")
def engines(threads: int, rounds: int) -> None:
    """Time every engine ÷ the engine numpy, numpy ÷ the bare matrix products, and replicas ÷ a single run."""
    apart(threads, _measure, threads, rounds)


def _measure(threads: int, rounds: int) -> None:
    rows = []
    for case in CASES:
        present: dict[str, Contender] = {
            "numpy": contenders.mlpframe(case, "numpy"),
            "auto": contenders.mlpframe(case),
            "products": contenders.products(case),
            "fused": contenders.mlpframe(case, "fused"),
        }
        if case.batch <= ONLINE_ROWS:
            present["online"] = contenders.mlpframe(case, "online")
        if sum(a * b for a, b in zip(case.widths[:-1], case.widths[1:], strict=True)) < SCALAR_PARAMETERS:
            present["scalar"] = contenders.mlpframe(case, "scalar")
        times = interleaved(present, rounds=rounds)
        rows.append(
            (
                str(case),
                f"{times.median('numpy') * 1e6:.1f}",
                f"{times.ratio('numpy', 'products'):.2f}",
                *(
                    f"{times.ratio(name, 'numpy'):.2f}" if name in present else ""
                    for name in ("online", "fused", "scalar", "auto")
                ),
            )
        )
    title = f"one step, {on_threads(threads)}; ratios of medians of paired rounds"
    ratios = ("numpy ÷ products", "online ÷ numpy", "fused ÷ numpy", "scalar ÷ numpy", "auto ÷ numpy")
    Table(title, ("case", "numpy µs", *ratios), rows).show()
    together = []
    for case in (Case((2, 3, 2), 1), *(Case((784, 300, 10), batch) for batch in (1, 10, 50))):
        alone_and_stacked = {
            "alone": contenders.mlpframe(case),
            "together": contenders.mlpframe(case, replicas=REPLICAS),
        }
        times = interleaved(alone_and_stacked, rounds=rounds)
        micro = (f"{times.median(name) * 1e6:.1f}" for name in alone_and_stacked)
        together.append((str(case), *micro, f"{times.ratio('together', 'alone'):.2f}"))
    title = f"a step of one of {REPLICAS} replicas, {on_threads(threads)}"
    Table(title, ("case", "alone µs", "together µs", "together ÷ alone"), together).show()
