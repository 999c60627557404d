"""mlpframe: an experiment framework for multilayer perceptrons in plain NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"
__all__ = ["MLPClassifier", "MLPRegressor", "__version__", "fit", "load", "registries"]
HIGHER = {
    "fit": ".runs.fit",
    "load": ".runs.fitted",
    "MLPClassifier": ".estimators",
    "MLPRegressor": ".estimators",
}
"""Public names that are imported on first use, and the module of each."""

if TYPE_CHECKING:
    from .registry import registries


def __getattr__(name: str) -> Any:
    # Plugins are loaded on first access to the registries, and not when this package is imported: plugins
    # import mlpframe.api, which needs this package to be imported already.
    if name == "registries":
        from .discovery import load_plugins

        return load_plugins()
    if name in HIGHER:  # imported only on use, because these modules import Hydra or scikit-learn
        return getattr(import_module(HIGHER[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
