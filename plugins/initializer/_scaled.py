"""Shared code of the initializers whose variance depends on fan-in and fan-out."""

from __future__ import annotations

from abc import abstractmethod
from math import sqrt

import numpy as np

from mlpframe.api import Array, Initializer, Parameter


class Scaled(Initializer):
    """Base class: independent numbers with mean 0 and a variance that depends on the parameter's fans."""

    def __init__(self, *, distribution: str = "normal") -> None:
        if distribution not in ("normal", "uniform"):
            raise ValueError(f"distribution must be normal or uniform, not {distribution!r}")
        self.distribution = distribution

    @abstractmethod
    def variance(self, parameter: Parameter) -> float:
        """The variance of the numbers that ``parameter`` is filled with."""

    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        std = sqrt(self.variance(parameter))
        if self.distribution == "normal":
            rng.standard_normal(out=out)
            out *= std
        else:
            rng.random(out=out)
            out -= 0.5
            out *= 2 * sqrt(3) * std  # the bound is a = √3 std, because U(−a, a) has the variance a² / 3
