"""The dataset ``synth``."""

from __future__ import annotations

import numpy as np

from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, check_range, register

Q = np.array([[1, -0.05], [1, 0.4]])
THRESHOLD = 0.6


@register("synth")
class Synth(Dataset):
    """Points of the plane, inside or outside an ellipse.

    x ~ N(0, I),  y = 1 (outside) where xᵀ Q x > 0.6, else 0,  Q = [[1, −0.05], [1, 0.4]]

    60,000 training and 10,000 validation points, 2 features, 2 classes. The ellipse has the semi-axes 2.08
    and 0.69. mlpframe draws the points itself. Number for number, they are the points of ``load_synth``, a
    function that a Deep Learning course gave to its students in 2022.

    Options:
        num_train: number of training points, at least 1.
        num_val: number of validation points, at least 0; they are drawn after the training points.
        seed: seed of the data, independent of the run's seed, from 0 to 2³² − 1; the course uses 0.
    """

    shared = Preparation(validation=0, test=0)

    def __init__(self, *, num_train: int = 60_000, num_val: int = 10_000, seed: int = 0) -> None:
        check_range("num_train", num_train, minimum=1)
        check_range("num_val", num_val, minimum=0)
        check_range("seed", seed, minimum=0, maximum=2**32 - 1)
        self.num_train, self.num_val, self.seed = num_train, num_val, seed

    def load(self, context: DataContext) -> Splits:
        # The course drew its points with NumPy's legacy generator, whose numbers never change.
        rng = np.random.RandomState(self.seed)
        x = rng.randn(self.num_train + self.num_val, 2)
        y = (np.einsum("nf,fk,nk->n", x, Q, x) > THRESHOLD).astype(np.intp)
        n = self.num_train
        return Splits(
            Table(x[:n], y[:n]),
            validation=Table(x[n:], y[n:]) if self.num_val else None,
            class_names=("inside", "outside"),
            feature_names=("x0", "x1"),
        )
