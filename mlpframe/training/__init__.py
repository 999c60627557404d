"""Training without Hydra and MLflow, for use in scripts."""

from __future__ import annotations

from .history import History
from .lockstep import Lockstep
from .network import Network, Plan, build_layers, create_layers
from .optim import Updater
from .predictor import Predictor, save_model
from .rng import Streams
from .trainer import Diverged, Interrupted, Settings, Trainer

__all__ = [
    "Diverged",
    "History",
    "Interrupted",
    "Lockstep",
    "Network",
    "Plan",
    "Predictor",
    "Settings",
    "Streams",
    "Trainer",
    "Updater",
    "build_layers",
    "create_layers",
    "save_model",
]
