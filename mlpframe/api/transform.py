"""What a transform of training rows implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from .component import Array


class Transform(ABC):
    """A random change of training rows, anew in every epoch; validation and test rows stay as they are.

    Written over images ``(n, height, width)``; rows that are no images come as ``(n, 1, features)``.
    """

    kind: ClassVar[str] = "transform"
    name: ClassVar[str]
    needs_images: ClassVar[bool] = True
    mixes: ClassVar[bool] = False
    """Whether it mixes rows: the targets of a classification are then probabilities ``(n, classes)``."""

    @abstractmethod
    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The changed rows and targets; it may work in ``x`` and ``y``, which are copies, and return them.

        Args:
            x: ``(n, height, width)`` of the run's dtype.
            y: class numbers ``(n,)``, or values ``(n, k)``: probabilities where a transform of the run mixes.
            rng: the stream of this block of rows and this transform.
        """
