"""What a transform of training rows implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from .component import Array


class Transform(ABC):
    """A random change of training rows, anew in every epoch. Validation and test rows stay unchanged.

    A transform works on images ``(n, height, width)``. Rows that are not images have the shape
    ``(n, 1, features)``.
    """

    kind: ClassVar[str] = "transform"
    name: ClassVar[str]
    needs_images: ClassVar[bool] = True
    mixes: ClassVar[bool] = False
    """Whether the transform mixes rows. If so, targets of classes are probabilities ``(n, classes)``."""

    @abstractmethod
    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """The changed rows and targets. ``x`` and ``y`` are copies, so ``apply`` may change and return them.

        Args:
            x: ``(n, height, width)`` of the run's dtype.
            y: class numbers ``(n,)``, values ``(n, k)``, or class probabilities ``(n, k)`` if a transform of
                the run mixes rows.
            rng: the stream of this block of rows and this transform.
        """
