"""The optimizer ``muon``."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

import numpy as np

from mlpframe.api import Array, Optimizer, check_range, register

BLOCK = 1024
"""Matrix columns that one product computes at a time; more columns would need more memory for the result."""


@register("muon")
class Muon(Optimizer):
    """Muon: steps by the momentum of a weight matrix, made orthogonal: all singular values are near 1.

    v ← μ v + g,  w ← w − η √max(1, n_out / n_in) NS(g + μ v)

    NS brings all singular values near 1: X = U S Vᵀ is divided by its Frobenius norm, then replaced
    ``iterations`` times by X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X with a, b, c = 3.4445, −4.7750, 2.0315, which
    are chosen for speed and leave singular values between about 0.7 and 1.2. Weights ``(n_in, n_out)`` are
    stored as the transpose of the source's weights, so the source's factor √max(1, rows / columns) is
    √max(1, n_out / n_in) here. Vectors, such as biases, and arrays of more than two axes have Nesterov's
    momentum with the same η and μ: w ← w − η (g + μ v).

    Options:
        momentum: μ, the share of the velocity v that a step keeps, at least 0 and below 1.
        iterations: Newton-Schulz iterations, at least 1.

    Source: Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein 2024, "Muon: An optimizer for hidden layers
    in neural networks".
    """

    default_lr = 0.02
    slots = ("v",)
    scope = "tensor"

    def __init__(self, *, momentum: float = 0.95, iterations: int = 5) -> None:
        check_range("momentum", momentum, minimum=0, below=1)
        check_range("iterations", iterations, minimum=1)
        self.momentum, self.iterations = momentum, iterations

    def textbook(self, w: Array, g: Array, lr: float, t: int, v: Array) -> tuple[Array, ...]:
        v = self.momentum * v + g
        X = g + self.momentum * v
        if w.ndim == 2:
            n_in, n_out = w.shape
            a, b, c = 3.4445, -4.7750, 2.0315
            X = X / (np.linalg.norm(X) or 1)  # a matrix of zeros stays 0
            for _ in range(self.iterations):
                A = X @ X.T
                X = a * X + b * A @ X + c * A @ A @ X
            X = sqrt(max(1, n_out / n_in)) * X
        return w - lr * X, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        v = slots["v"]
        np.multiply(v, self.momentum, v)
        np.add(v, g, v)
        np.multiply(v, self.momentum, scratch)
        np.add(scratch, g, scratch)
        factor = lr
        if w.ndim == 2:
            orthogonalize(scratch, self.iterations)
            factor *= sqrt(max(1, w.shape[1] / w.shape[0]))
        np.multiply(scratch, factor, scratch)
        np.subtract(w, scratch, w)


def orthogonalize(matrix: Array, iterations: int) -> None:
    """Bring the singular values of a matrix near 1, in place, by Newton-Schulz. A matrix of zeros stays 0."""
    norm = float(np.linalg.norm(matrix))
    if norm == 0:
        return
    np.divide(matrix, norm, matrix)
    X = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    n = len(X)
    gram, square = np.empty((n, n), X.dtype), np.empty((n, n), X.dtype)
    products = np.empty((n, min(BLOCK, X.shape[1])), X.dtype)
    for _ in range(iterations):
        np.matmul(X, X.T, gram)
        np.matmul(gram, gram, square)
        np.multiply(gram, -4.7750, gram)
        np.multiply(square, 2.0315, square)
        np.add(gram, square, gram)
        gram.reshape(-1)[:: n + 1] += 3.4445
        for start in range(0, X.shape[1], BLOCK):
            columns = X[:, start : start + BLOCK]
            np.matmul(gram, columns, products[:, : columns.shape[1]])
            columns[...] = products[:, : columns.shape[1]]
