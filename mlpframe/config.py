"""Typed configurations from class signatures, and the typed root configuration of an experiment.

Functions import Hydra and OmegaConf only when they need them. This import takes as long as the whole answer
to a mistyped key, and that answer needs neither library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

from .api import UsageError, check_range
from .discovery import conf_folders
from .registry import REQUIRED, Option, nearest, options_of, registries

if TYPE_CHECKING:
    from omegaconf import DictConfig

GROUPS = ("dataset", "model", "loss", "optimizer", "schedule")
"""The kinds that are Hydra groups: every experiment has one component of each."""
DICTS = {"transforms": "transform", "metrics": "metric", "callbacks": "callback"}
"""Keys of the configuration that hold several components by name, and the kind of these components."""


class DType(Enum):
    """The type of parameters and arithmetic."""

    float32 = "float32"
    float64 = "float64"


@dataclass
class MLflowTracking:
    """Record the run in an MLflow store.

    Options:
        uri: where the store is; null: MLFLOW_TRACKING_URI, else outputs/mlflow.db.
        experiment: the MLflow experiment's name.
        parent: the MLflow run that is the parent of this run; a sweep sets it.
    """

    name: str = "mlflow"
    uri: str | None = None
    experiment: str = "mlpframe"
    parent: str | None = None


@dataclass
class NoTracking:
    """Only write files to the run's folder."""

    name: str = "none"


TRACKING = {tracking.name: tracking for tracking in (MLflowTracking, NoTracking)}
"""The choices of the Hydra group ``tracking``, by name: how a run is recorded."""


@dataclass
class Root:
    """The configuration of one experiment: settings, one component per group, dictionaries of components.

    Three settings name runs or models: ``resume``, the run, or the stack of runs, that is continued;
    ``start_from``, a run, registered model or model file whose weights are the first weights of this run;
    ``register``, the name under which MLflow registers the model at the end.
    """

    seed: int = 0
    lr: float | None = None
    epochs: int = 20
    batch_size: int = 32
    dtype: DType = DType.float32
    log_every: int = 100
    shuffle: bool = True
    final: bool = False
    engine: str = "auto"
    threads: int | str = "auto"
    data_dir: str | None = None
    run_name: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    resume: str | None = None
    start_from: str | None = None
    register: str | None = None
    dataset: Any = None
    model: Any = None
    loss: Any = None
    optimizer: Any = None
    schedule: Any = None
    transforms: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    tracking: Any = None
    experiment: Any = None


def _field_type(option: Option) -> Any:
    """The option's type for OmegaConf, or ``Any`` for types that OmegaConf does not have.

    OmegaConf has no type for a component's spec (a name or a mapping), nor for a text or a list of texts.
    """
    parts = (option.type, *get_args(option.type))
    containers = [part for part in parts if get_origin(part) in (list, dict)]
    mixed = len(parts) > 1 and containers and str in parts
    return Any if mixed or any(get_origin(part) is Mapping for part in parts) else option.type


def schema(name: str, cls: type) -> type:
    """A dataclass with the field ``name`` and one field for each option of a component class."""
    members: list[Any] = [("name", str, field(default=name))]
    for option in options_of(cls):
        if option.default is REQUIRED:
            members.append((option.name, _field_type(option), field(default="???")))
        elif isinstance(option.default, list | dict):
            value = option.default
            members.append((option.name, _field_type(option), field(default_factory=value.copy)))
        else:
            members.append((option.name, _field_type(option), field(default=option.default)))
    return make_dataclass(cls.__name__, members)


@cache
def store_root() -> None:
    """Register the root configuration and the kinds of tracking with Hydra."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store(name="root", node=Root)
    for name, cls in TRACKING.items():
        store.store(group="tracking", name=name, node=cls)


@cache
def store_component(kind: str, name: str) -> None:
    """Register a component with Hydra, so that users can select the component without a YAML file.

    A preset ``conf/<kind>/<name>.yaml`` takes the place of the component of the same name. The preset then
    finds the component's options in ``<kind>/options/<name>``.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import DictConfig, OmegaConf

    node = OmegaConf.structured(schema(name, registries[kind][name]))
    for option in node:  # an option that is a dictionary takes new keys, without + before the key
        if not OmegaConf.is_missing(node, option) and isinstance(node[option], DictConfig):
            OmegaConf.set_struct(node[option], False)
    has_preset = any((folder / kind / f"{name}.yaml").is_file() for folder in conf_folders())
    ConfigStore.instance().store(group=f"{kind}/options" if has_preset else kind, name=name, node=node)


def read_root(config: DictConfig) -> Root:
    """Check the configuration and fill in the options of the components in its dictionaries.

    Raises:
        UsageError: an unknown component, an option of the wrong type, a setting out of range.
    """
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    known = [field.name for field in fields(Root)]
    for key in plain:
        if key not in known:
            raise UsageError(f"there is no key {key!r}; {nearest(str(key), known)}")
    root = Root(**{str(key): value for key, value in plain.items()})
    known_names = {**{kind: registries[kind].names() for kind in GROUPS}, "tracking": list(TRACKING)}
    for key, names in known_names.items():
        value = getattr(root, key)
        if key == "loss" and value is None:
            continue  # a run without a configured loss uses the default loss of its task
        if not isinstance(value, dict) or value.get("name") not in names:
            name = value.get("name") if isinstance(value, dict) else value
            raise UsageError(f"{key}={name}: expected one of {', '.join(names)}")
    for key, kind in DICTS.items():
        for name in getattr(root, key):
            registries[kind][name]
        enabled = {name: options for name, options in getattr(root, key).items() if options is not None}
        setattr(root, key, {name: typed(key, kind, name, options) for name, options in enabled.items()})
    try:
        check_range("seed", root.seed, minimum=0)
        check_range("epochs", root.epochs, minimum=1)
        check_range("batch_size", root.batch_size, minimum=1)
        check_range("log_every", root.log_every, minimum=1)
        if root.lr is not None:
            check_range("lr", root.lr, above=0)
        if root.register is not None:
            _check_register(root.register, root.tracking["name"])
        if isinstance(root.threads, str) and root.threads != "auto":
            raise ValueError(f"threads must be auto or a whole number, not {root.threads!r}")
        if isinstance(root.threads, int):
            check_range("threads", root.threads, minimum=1)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return root


def _check_register(name: str, tracking: str) -> None:
    if tracking != MLflowTracking.name:
        raise ValueError(
            f"register={name} needs tracking=mlflow, because MLflow keeps the registry of models"
        )
    if not name.strip() or set(name) & set("/:@"):
        raise ValueError(f"register={name}: expected a name without / : and @")


def typed(key: str, kind: str, name: str, options: Any) -> dict[str, Any]:
    """The name and all options of a component; an option that is not given has its default value.

    Raises:
        UsageError: an unknown option, or a value of the wrong type; the message begins with ``key``.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    cls = registries[kind][name]
    if not isinstance(options, dict):
        raise UsageError(
            f"{key}.{name} must be a mapping of options, {{}} for the defaults, or null to leave out {name}, "
            f"not {options!r}"
        )
    known = [option.name for option in options_of(cls)]
    for option in map(str, options):
        if option not in known and option != "name":
            raise UsageError(f"{key}.{name} has no option {option!r}; {nearest(option, known)}")
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema(name, cls)), options)
    except OmegaConfBaseException as error:
        raise UsageError(f"{key}.{name}.{error.full_key}: {error.msg}".splitlines()[0]) from error
    merged.name = name
    plain = OmegaConf.to_container(merged)
    assert isinstance(plain, dict)
    return {str(option): value for option, value in plain.items()}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a nested configuration to dotted keys, such as ``optimizer.momentum``.

    A list stays one value, and so does a mapping whose keys are patterns with ``*``, ``?`` or ``[``.
    """
    out: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and any(set(str(name)) & set("*?[") for name in value):
            out[f"{prefix}{key}"] = dict(value)
        elif isinstance(value, Mapping) and value:
            out |= flat(value, f"{prefix}{key}.")
        elif not isinstance(value, Mapping):
            out[f"{prefix}{key}"] = value
    return out
