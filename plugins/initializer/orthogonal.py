"""The initializer ``orthogonal``."""

from __future__ import annotations

from math import inf

import numpy as np

from mlpframe.api import Array, Initializer, Parameter, check_range, register


@register("orthogonal")
class Orthogonal(Initializer):
    """A random matrix with orthonormal columns, or rows where it has more columns than rows.

    Wᵀ W = gain² I  or  W Wᵀ = gain² I

    W is Q of the QR decomposition of a matrix of normal numbers, each column times the sign of R's
    diagonal: only then are all orthogonal matrices equally likely. A square W keeps the length of what
    passes through it, forwards and backwards; √2 as gain makes up for what relu takes away.

    A vector is a row: a random direction of length gain. Of a parameter with more axes, each matrix of
    the last two is drawn by itself.

    Options:
        gain: the singular value of W, at least 0.

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
