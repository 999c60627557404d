"""Find plugins: the built-in ones, the folders in ``MLPFRAME_PLUGINS``, and installed packages.

Every Python file in a plugin folder, at any depth, may define components. A file whose name starts with ``_``
is a helper that the other files import relatively. The subfolder ``conf`` holds presets for Hydra.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from .registry import KINDS, Broken, Registries, UsageError, registries

PACKAGE = Path(__file__).parent
GROUP = "mlpframe.plugins"
VARIABLE = "MLPFRAME_PLUGINS"

_loaded = False
_preset_folders: list[Path] = []


def beside_or_inside(name: str) -> Path:
    """The folder ``name`` inside the installed package, or beside the package in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def load_plugins() -> Registries:
    """Fill the registries once per process. A plugin that fails to load does not affect the others.

    Raises:
        UsageError: a folder of ``MLPFRAME_PLUGINS`` does not exist.
    """
    global _loaded
    if _loaded:
        return registries
    _loaded = True
    _load_folder(beside_or_inside("plugins"), "mlpframe.plugins", "built-in")
    _load_files(PACKAGE / "training" / "engines", "mlpframe.training.engines", "built-in")
    for folder in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        path = Path(folder).expanduser().resolve()
        if not path.is_dir():
            raise UsageError(f"{VARIABLE} names {folder!r}, which is not a folder")
        _load_folder(path, _package(path), folder)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _load_entry(entry)
    return registries


def load_path(path: Path) -> list[tuple[str, str]]:
    """Load a plugin file or folder from anywhere, unless it is loaded already.

    Returns:
        Kind and name of every component that the file or folder provides.

    Raises:
        UsageError: the path does not exist, cannot be loaded, or provides no component.
    """
    load_plugins()
    resolved = path.expanduser().resolve()
    if not resolved.exists():
        raise UsageError(f"there is no plugin file {path}")
    components = _provided(resolved)
    if not components and not _broken(resolved):
        importlib.invalidate_caches()  # Python may have listed the folder before the file was written
        if resolved.is_dir():
            _load_folder(resolved, _package(resolved), str(path))
        else:
            package = _package(resolved.parent)
            if package not in sys.modules:
                _make_package(package, resolved.parent)
            _load_module(f"{package}.{resolved.stem}", str(resolved), str(path))
        components = _provided(resolved)
    for broken in _broken(resolved):
        registries.broken.remove(broken)  # the error below reports this plugin, so no list needs to
        raise UsageError(f"plugin {broken.file} could not be loaded: {broken.error}")
    if not components:
        raise UsageError(f"plugin {path} registers no component; decorate a class with @register(name)")
    return components


def _provided(path: Path) -> list[tuple[str, str]]:
    """Kind and name of every component whose class is defined in a file, or in the files of a folder."""
    components = []
    for kind in KINDS:
        for name in registries[kind].names():
            file = Path(inspect.getsourcefile(registries[kind][name]) or "?").resolve()
            if path in (file, *file.parents):
                components.append((kind, name))
    return components


def _broken(path: Path) -> list[Broken]:
    return [broken for broken in registries.broken if path in (Path(broken.file), *Path(broken.file).parents)]


def _package(folder: Path) -> str:
    """The package name of a plugin folder; unique, because files in two folders may have the same name."""
    return f"mlpframe_plugins_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def preset_folders() -> list[Path]:
    """The ``conf`` folders of plugin folders and packages, in the order they were found."""
    return list(_preset_folders)


def conf_folders() -> list[Path]:
    """The folders of presets: the built-in ``conf``, then those of plugin folders and packages."""
    return [beside_or_inside("conf"), *_preset_folders]


def _load_folder(folder: Path, package: str, provider: str) -> None:
    _make_package(package, folder)
    _load_files(folder, package, provider)


def _make_package(package: str, folder: Path) -> None:
    root = ModuleType(package)
    root.__path__ = [str(folder)]  # subfolders are then imported as namespace packages
    sys.modules[package] = root


def _load_files(folder: Path, package: str, provider: str) -> None:
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).with_suffix("").parts
        if any(part.startswith(("_", ".", "test_")) or part == "conf" for part in parts):
            continue
        _load_module(".".join((package, *parts)), str(file), provider)
    _add_presets([folder])


def _load_entry(entry: EntryPoint) -> None:
    provider = entry.dist.name if entry.dist else entry.name
    if not _load_module(entry.module, entry.module, provider):
        return
    for folder in getattr(sys.modules[entry.module], "__path__", []):
        _load_files(Path(folder), entry.module, provider)


def _load_module(module: str, file: str, provider: str) -> bool:
    registries.provider = provider
    try:
        importlib.import_module(module)
        return True
    except (Exception, SystemExit) as error:  # a plugin file may do anything on import
        for registry in registries.values():
            registry.forget(module)
        name = module.rpartition(".")[2]
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        registries.broken.append(Broken(name, file, provider, reason))
        return False


def _add_presets(folders: Iterable[Path]) -> None:
    _preset_folders.extend(folder / "conf" for folder in folders if (folder / "conf").is_dir())
