"""mlpframe: an experiment framework for multilayer perceptrons in plain NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"
__all__ = ["__version__", "fit", "registries"]

if TYPE_CHECKING:
    from .registry import registries


def __getattr__(name: str) -> Any:
    # Fill the registries on first access, not on import: loading a plugin imports mlpframe.api, and with
    # mlpframe.api this package.
    if name == "registries":
        from .discovery import load_plugins

        return load_plugins()
    if name == "fit":  # imported by name, because runs.fit is a higher layer and imports Hydra
        return getattr(import_module(".runs.fit", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
