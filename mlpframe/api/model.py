"""What a model implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from .component import Spec
from .dataset import Shapes


class Model(ABC):
    """Makes the list of a network's layers from the model's options and the numbers of inputs and outputs."""

    kind: ClassVar[str] = "model"
    name: ClassVar[str]

    @abstractmethod
    def layers(self, shapes: Shapes) -> Sequence[Spec]:
        """The layers, first to last. In a layer without ``units``, ``units`` becomes the number of outputs.

        The same options and shapes must give equal lists, because a saved model is rebuilt from its options
        and shapes.
        """
