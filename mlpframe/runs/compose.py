"""From overrides to the configuration of one experiment, for the command without a name and for others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import hydra
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig

from ..config import chosen_groups, store_configs
from ..discovery import beside_or_inside, load_plugins, preset_folders
from ..registry import UsageError
from .overrides import as_override


def compose(overrides: Sequence[str]) -> DictConfig:
    """The configuration that the command line composes from these overrides; not yet checked, see read_root.

    Raises:
        UsageError: a group is given something that is no name, or more than one experiment is asked for.
        HydraException: an override is wrong in another way; ``cli.explain`` has the message for it.
    """
    prepare_hydra()
    check_groups(overrides)
    given = [as_override(one) for one in overrides]
    for one in OverridesParser.create().parse_overrides(given):
        if one.is_sweep_override() or one.key_or_group == "replicas":
            raise UsageError(f"{one.input_line}: expected one experiment, not several")
    with hydra.initialize_config_dir(str(beside_or_inside("conf")), version_base="1.3"):
        return hydra.compose("config", given)


@cache
def prepare_hydra() -> None:
    """Let Hydra know every component, and the presets of plugin folders and packages."""
    load_plugins()
    store_configs()

    class Presets(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in preset_folders():
                search_path.append("mlpframe", f"file://{folder}")

    Plugins.instance().register(Presets)


def check_groups(overrides: Sequence[str]) -> None:
    """Refuse what Hydra would take for a group's name without a word that helps."""
    groups = chosen_groups()
    for key, _, value in (override.partition("=") for override in overrides):
        if key in groups and (value in ("", "null") or value.replace(".", "").isdigit()):
            raise UsageError(f"{key}={value}: expected one of {', '.join(groups[key])}")
        if key == "experiment" and value in ("", "null"):
            raise UsageError(f"experiment={value}: expected the name of one; leave it out for none")
