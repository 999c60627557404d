"""mlpframe: an experiment framework for multilayer perceptrons in plain NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"
__all__ = ["__version__", "fit", "registries"]

if TYPE_CHECKING:
    from .registry import registries


def __getattr__(name: str) -> Any:
    # The registries are filled when they are first asked for: a plugin imports mlpframe.api, and so
    # this package, while they are being filled.
    if name == "registries":
        from .discovery import load_plugins

        return load_plugins()
    if name == "fit":  # by its name: it is above this module, and brings Hydra
        return getattr(import_module(".runs.fit", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
