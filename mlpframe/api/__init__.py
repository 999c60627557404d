"""What a plugin implements: a base class for each kind of component (layer, loss, …), and a few helpers.

A component is a class in a file of its own, registered under a name::

    from mlpframe.api import Optimizer, register

    @register("sgd")
    class SGD(Optimizer): ...

The options of a component are the keyword-only, typed arguments of ``__init__``. The docstring (one line, the
formula, ``Options:``, ``Source:``) is the component's help. A batch ``x`` is a C-contiguous array of shape
``(batch, features)`` and of the run's dtype. This package imports only NumPy and the standard library.
"""

from __future__ import annotations

from ..numpy_files import RATIO, Npz, is_npz, read_npy
from ..registry import UsageError, nearest, registries
from .callback import Callback, Run
from .component import Array, Spec, check_range, register
from .dataset import ColumnRules, DataContext, Dataset, FrameFile, Preparation, Shapes, Splits, Table
from .engine import (
    Block,
    Engine,
    EngineNetwork,
    EnginePlan,
    EngineUpdater,
    Losses,
    Recurrence,
    rates,
    split_losses,
)
from .graph import Graph
from .initializer import Initializer
from .layer import Backward, Bound, Context, Layer, Parameter
from .loss import Loss, Means
from .metric import Metric, multi_hot
from .model import Model
from .optimizer import Optimizer, UpdateRules
from .schedule import Schedule
from .transform import Transform

__all__ = [
    "RATIO",
    "Array",
    "Backward",
    "Block",
    "Bound",
    "Callback",
    "ColumnRules",
    "Context",
    "DataContext",
    "Dataset",
    "Engine",
    "EngineNetwork",
    "EnginePlan",
    "EngineUpdater",
    "FrameFile",
    "Graph",
    "Initializer",
    "Layer",
    "Loss",
    "Losses",
    "Means",
    "Metric",
    "Model",
    "Npz",
    "Optimizer",
    "Parameter",
    "Preparation",
    "Recurrence",
    "Run",
    "Schedule",
    "Shapes",
    "Spec",
    "Splits",
    "Table",
    "Transform",
    "UpdateRules",
    "UsageError",
    "check_range",
    "is_npz",
    "multi_hot",
    "nearest",
    "rates",
    "read_npy",
    "register",
    "registries",
    "split_losses",
]
