"""What an initializer implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from .component import Array
from .layer import Parameter


class Initializer(ABC):
    """Fills a parameter with its first values."""

    kind: ClassVar[str] = "initializer"
    name: ClassVar[str]

    @abstractmethod
    def fill(self, out: Array, parameter: Parameter, rng: np.random.Generator) -> None:
        """Fill ``out`` (float64, of the parameter's shape) in place."""
