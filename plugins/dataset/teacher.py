"""The dataset ``teacher``."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mlpframe.api import Array, DataContext, Dataset, Preparation, Splits, Table, check_range, register


@register("teacher")
class Teacher(Dataset):
    """Outputs of a random network, the teacher, for inputs from a normal distribution: a regression.

    y = W₂ᵀ tanh(W₁ᵀ x + b₁) + b₂ + noise · N(0, I),  x ~ N(0, I);  weights and biases ~ N(0, 1 / fan_in)

    The formula has one hidden layer; if there are more, tanh follows each. Without noise, a network with the
    teacher's layers can reach loss 0. With noise, the mean squared error of the teacher itself is noise². The
    run's seed draws the teacher first, then the inputs, then the noise.

    Options:
        rows: number of rows, at least 1.
        features: number of inputs, at least 1.
        hidden: units of the teacher's hidden layers, each at least 1; []: a linear teacher.
        outputs: number of targets, at least 1.
        noise: standard deviation of the noise added to every target, at least 0.

    Source: Gardner, Derrida 1989, "Three unfinished works on the optimal storage capacity of networks".
    """

    shared = Preparation(validation=0.2, test=0.2, split="random")

    def __init__(
        self,
        *,
        rows: int = 1000,
        features: int = 10,
        hidden: list[int] = [16],  # noqa: B006
        outputs: int = 1,
        noise: float = 0.0,
    ) -> None:
        check_range("rows", rows, minimum=1)
        check_range("features", features, minimum=1)
        for units in hidden:
            check_range("hidden", units, minimum=1)
        check_range("outputs", outputs, minimum=1)
        check_range("noise", noise, minimum=0)
        self.rows, self.noise = rows, noise
        self.widths = (features, *hidden, outputs)

    def load(self, context: DataContext) -> Splits:
        network = draw_network(self.widths, context.rng)
        x = context.rng.standard_normal((self.rows, self.widths[0]))
        y = x
        for number, (W, b) in enumerate(network):
            y = (np.tanh(y) if number else y) @ W + b
        if self.noise:
            y = y + self.noise * context.rng.standard_normal(y.shape)
        return Splits(Table(x, y))


def draw_network(widths: tuple[int, ...], rng: np.random.Generator) -> list[tuple[Array, Array]]:
    """Draw W ``(fan_in, fan_out)`` and b ``(fan_out,)`` of every layer, from the first layer on."""
    return [
        (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in), rng.standard_normal(n_out) / np.sqrt(n_in))
        for n_in, n_out in pairwise(widths)
    ]
