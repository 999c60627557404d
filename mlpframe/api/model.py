"""What a model implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from .component import Spec
from .dataset import Shapes


class Model(ABC):
    """Turns options, and what is known of inputs and outputs, into a list of layers."""

    kind: ClassVar[str] = "model"
    name: ClassVar[str]

    @abstractmethod
    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        """The layers, first to last; an option ``units`` that a layer lacks becomes the number of outputs.

        The same options and shapes give equal lists: a saved model is made again from them.
        """
