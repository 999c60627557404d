"""Compose one experiment's configuration from overrides, and explain Hydra's errors in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..config import GROUPS, store_component, store_root
from ..discovery import beside_or_inside, load_plugins, preset_folders
from ..registry import UsageError, nearest, registries
from .keys import COMMAND_LINE_KEYS, check, components
from .overrides import Override

CONF = beside_or_inside("conf")


def compose(overrides: Sequence[str]) -> DictConfig:
    """Compose the configuration as the command line does. ``read_root`` checks it later.

    Raises:
        UsageError: an override is wrong, or it asks for more than one experiment.
    """
    load_plugins()
    parsed = [Override.parse(text) for text in overrides]
    for override in parsed:
        if override.key in COMMAND_LINE_KEYS:
            raise UsageError(f"{override}: expected one experiment, not several")
    check(parsed)
    prepare_hydra(components(parsed))
    with in_words(), hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return hydra.compose("config", [override.for_hydra() for override in parsed])


def as_yaml(config: DictConfig) -> str:
    """A composed configuration as YAML text."""
    return OmegaConf.to_yaml(config)


def prepare_hydra(by_group: Mapping[str, str] | None = None) -> None:
    """Register the components with Hydra, and tell Hydra where plugin folders and packages keep presets.

    Args:
        by_group: the only component to register of each group; ``None``: register every component, because a
            sweep may need any of them.
    """
    load_plugins()
    _add_presets()
    store_root()
    for group in GROUPS:
        names = registries[group].names()
        for name in names if by_group is None else [by_group[group]] if group in by_group else names:
            store_component(group, name)


@cache
def _add_presets() -> None:
    class Presets(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in preset_folders():
                search_path.append("mlpframe", f"file://{folder}")

    Plugins.instance().register(Presets)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn an error of Hydra or OmegaConf into a ``UsageError`` of one to three lines."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(_words(error)) from error


def usage_error(error: Exception) -> UsageError | None:
    """Explain the error in one to three lines; ``None`` if no mistake in the request caused the error."""
    if isinstance(error, UsageError):
        return error
    if isinstance(error, MemoryError):
        return UsageError(f"the request needs more memory than there is: {error}")
    if isinstance(error, OSError) and error.filename is not None:
        return UsageError(f"{error.filename} cannot be used: {error.strerror}")
    if isinstance(error, HydraException | OmegaConfBaseException):
        return UsageError(_words(error))
    return None


def _words(error: Exception) -> str:
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} must be given"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and "/" in error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group in registries and any(broken.name == name for broken in registries.broken):
            return _message(lambda: registries[group][name])
        return f"{group}={name}: there is no {group} {name!r}; {nearest(name, error.options or ())}"
    cause = error.__cause__
    if isinstance(error, ConfigCompositionException):
        text = str(error).splitlines()[0]
        if cause is not None and text.startswith("Error merging override"):
            override = text.removeprefix("Error merging override ").removeprefix("++")
            return f"{override}: {str(cause).splitlines()[0]}"
        if text.startswith("Could not override"):
            return _no_key(text.split(chr(39))[1])
    if isinstance(error, OverrideParseException):
        reason = next(line for line in str(error).splitlines() if "Error parsing" not in line)
        return f"{error.override.removeprefix('++')!r} cannot be read as key=value: {reason}"
    return "\n".join(str(error).splitlines()[:3])


def _no_key(key: str) -> str:
    parent, _, option = key.rpartition(".")
    if parent.count(".") == 0:
        return f"there is no key {key!r}"
    mapping = f"'{parent}={{name: …, {option}: …}}'"
    return f"there is no key {key!r}; a component's options are set together with its name: {mapping}"


def _message(call: Callable[[], object]) -> str:
    try:
        call()
    except UsageError as error:
        return str(error)
    raise AssertionError("a broken plugin has a message")
