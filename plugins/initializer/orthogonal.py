"""The initializer ``orthogonal``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("orthogonal")
class Orthogonal(Initializer):
    """A random matrix with orthonormal columns, or orthonormal rows if it has more columns than rows.

    Wᵀ W = gain² I  or  W Wᵀ = gain² I

    W is gain · Q, where Q comes from the QR decomposition of a matrix of normal numbers. Each column of Q is
    multiplied by the sign of the diagonal element of R in that column: only then are all orthogonal matrices
    equally likely. A square W with gain 1 keeps the length of activations and of gradients. With relu, a gain
    of √2 makes up for the activations that relu sets to 0.

    A vector counts as a row: a random direction of length gain. If a parameter has more than two axes, each
    matrix over the last two axes is drawn independently.

    Options:
        gain: every singular value of W, at least 0.

    Source: Saxe, McClelland, Ganguli 2014, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks".
    """

    def __init__(self, *, gain: float = 1.0) -> None:
        check_range("gain", gain, minimum=0, below=inf)
        self.gain = gain

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        matrices = np.atleast_2d(out)
        rows, columns = matrices.shape[-2:]
        normal = rng.standard_normal((*matrices.shape[:-2], max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]
        matrices[...] = q if rows >= columns else q.swapaxes(-1, -2)
