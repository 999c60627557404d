"""``python -m benchmarks estimators``: fits of ``mlpframe.MLPClassifier`` and scikit-learn's own.

Both fit the same rows with the same settings: batches of 200, adam, equal epochs, no early stopping, one
hidden layer of 100 units. For each network, the median of the paired ratios mlpframe ÷ scikit-learn must be
at most 0.7 (``BOUND``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import click
import numpy as np

from mlpframe.api import Array

from .timing import THREADS, Times, apart, interleaved, repeated
from .writing import OWN, comparison, on_threads, write_comparisons

BOUND = 0.7
"""The largest acceptable median of the ratios, for every network."""
SKLEARN = "scikit-learn"
BATCH = 200


@dataclass(frozen=True)
class Case:
    """A network, and the rows and epochs of a fit. A network with one output is fitted to a regression."""

    widths: tuple[int, int, int]
    rows: int
    epochs: int
    dtype: str

    @property
    def name(self) -> str:
        rows = f"{self.rows:,} rows, {self.epochs} epoch{'s' * (self.epochs > 1)}"
        return f"{'-'.join(map(str, self.widths))}, {rows}, {self.dtype}"

    @property
    def classes(self) -> int:
        return self.widths[-1] if self.widths[-1] > 1 else 0


CASES = tuple(
    Case(widths, rows, epochs, dtype)
    for dtype in ("float64", "float32")
    for widths, rows, epochs in (
        ((30, 100, 2), 569, 50),
        ((64, 100, 10), 1797, 20),
        ((784, 100, 10), 5000, 10),
        ((13, 100, 1), 506, 50),
        ((20, 100, 2), 100_000, 3),
    )
)
NOTE = """float64 and float32 are the types of the rows. scikit-learn trains in this type. mlpframe trains
in this type too, but in float32 if there are more than 100,000 numbers, and scales the inputs."""


@click.command()
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Number of processors to use.")
@click.option("--rounds", default=15, show_default=True, help="Rounds in which both take turns.")
def estimators(threads: int, rounds: int) -> None:
    """Time fits of the scikit-learn classes: mlpframe ÷ scikit-learn's own."""
    apart(threads, _measure, threads, rounds)


def _measure(threads: int, rounds: int) -> None:
    results: dict[str, Times] = {}
    for case in CASES:
        contenders = {name: repeated(fit) for name, fit in fits(case).items()}
        results[case.name] = interleaved(contenders, rounds=rounds)
        comparison(f"{case.name}, {on_threads(threads)}", "fit", results[case.name]).show()
    write_comparisons(f"estimators-{threads}", f"Fits, {on_threads(threads)}", "fit", results, NOTE)
    for name, times in results.items():
        ratio = times.ratio(OWN, SKLEARN)
        click.echo(f"{name}: {ratio:.3g}, {'within' if ratio <= BOUND else 'above'} the bound {BOUND}")


def fits(case: Case) -> dict[str, Callable[[], object]]:
    """For each contender, a function that makes one whole fit."""
    import sklearn.neural_network as sklearn

    import mlpframe

    name = "MLPClassifier" if case.classes else "MLPRegressor"
    x, y = rows(case)
    own = getattr(mlpframe, name)(hidden=case.widths[1:2], batch_size=BATCH, epochs=case.epochs)
    other: Any = getattr(sklearn, name)(
        hidden_layer_sizes=case.widths[1:2],
        batch_size=BATCH,
        max_iter=case.epochs,
        n_iter_no_change=case.epochs + 1,
    )
    return {OWN: partial(own.fit, x, y), SKLEARN: partial(quietly, other.fit, x, y)}


def rows(case: Case) -> tuple[Array, Array]:
    """Inputs from a normal distribution, and targets that depend on them."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(case.rows, case.widths[0]))
    scores = x @ rng.normal(size=(case.widths[0], case.widths[-1]))
    return x.astype(case.dtype), scores.argmax(1) if case.classes else scores[:, 0]


def quietly(fit: Callable[[Array, Array], object], x: Array, y: Array) -> None:
    """Fit without scikit-learn's warning that the number of epochs was too small to converge."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(x, y)
