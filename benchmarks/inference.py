"""``python -m benchmarks inference``: predictions of mlpframe and of other libraries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from mlpframe.api import Array, Splits, Table
from mlpframe.training.data.prepare import Data
from mlpframe.training.predictor import Predictor, save_model

from . import contenders
from .contenders import Case
from .timing import THREADS, apart, interleaved, repeated
from .writing import OWN, comparison, on_threads, write_comparisons

CASE = Case((784, 300, 10), 1)
ROWS = (1, 1000)
Predict = Callable[[Array], Array]


@click.command()
@click.option("--threads", type=THREADS, default=1, show_default=True, help="Number of processors to use.")
@click.option("--rounds", default=15, show_default=True, help="Rounds in which all contenders take turns.")
def inference(threads: int, rounds: int) -> None:
    """Time predictions, from NumPy rows to NumPy probabilities: mlpframe ÷ other libraries."""
    apart(threads, _measure, threads, rounds)


def _measure(threads: int, rounds: int) -> None:
    made = {
        OWN: mlpframe(),
        "plain NumPy": plain(),
        "scikit-learn": sklearn(),
        "PyTorch eager": torch(),
        "JAX jit": jax(),
    }
    present = {name: predict for name, predict in made.items() if predict is not None}
    inputs, _ = CASE.data()
    results = {}
    for rows in ROWS:
        x = inputs[:rows]
        for predict in present.values():
            np.testing.assert_allclose(predict(x), present[OWN](x), rtol=0, atol=1e-5)
        name = f"{'-'.join(map(str, CASE.widths))}, {rows:,} row{'s' * (rows > 1)}"
        calls = {who: repeated(partial(predict, x)) for who, predict in present.items()}
        results[name] = interleaved(calls, rounds=rounds)
        comparison(f"{name}, {on_threads(threads)}", "call", results[name]).show()
    write_comparisons(f"inference-{threads}", f"Prediction, {on_threads(threads)}", "call", results)


def mlpframe() -> Predict:
    """mlpframe's prediction: a model file, loaded and called as users load and call it."""
    table = Table(*CASE.data())
    classes = tuple(map(str, range(CASE.widths[-1])))
    data = Data("synthetic", Splits(table, class_names=classes), table, None, None, None, None)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.npz"
        save_model(file, contenders.network(CASE), data, CASE.model(), {"name": "cross_entropy"})
        return Predictor(file).predict


def plain() -> Predict:
    """The network's formula as plain NumPy expressions, without any checks."""
    first, second = CASE.weights()
    b1, b2 = (np.zeros(w.shape[1], np.float32) for w in (first, second))

    def predict(x: Array) -> Array:
        powers = np.exp(1 / (1 + np.exp(-(x @ first + b1))) @ second + b2)
        probabilities: Array = powers / powers.sum(1, keepdims=True)
        return probabilities

    return predict


def sklearn() -> Predict:
    """scikit-learn's MLPClassifier with the same weights."""
    model = contenders.sklearn_model(CASE)
    x, _ = CASE.data()
    model.partial_fit(x[:1], [0], classes=np.arange(CASE.widths[-1]))  # allocates the weights
    model.coefs_ = CASE.weights()
    model.intercepts_ = [np.zeros(w.shape[1], np.float32) for w in model.coefs_]
    predict: Predict = model.predict_proba
    return predict


def torch() -> Predict | None:
    """PyTorch, eager (not compiled), in inference mode."""
    if not contenders.installed("torch"):
        return None
    import torch as t

    model = contenders.torch_model(CASE)

    def predict(x: Array) -> Array:
        with t.inference_mode():
            probabilities: Array = model(t.from_numpy(x)).softmax(1).numpy()
        return probabilities

    return predict


def jax() -> Predict | None:
    """One jitted JAX function."""
    if not contenders.installed("jax"):
        return None
    import jax as j

    forward = j.jit(lambda p, x: j.nn.softmax(contenders.jax_logits(p, x)))
    parameters: Any = contenders.jax_parameters(CASE)
    return lambda x: np.asarray(forward(parameters, x))
