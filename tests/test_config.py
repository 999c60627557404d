"""Typed configurations from class signatures: every component composes, and messages name mistakes."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mlpframe import registries
from mlpframe.api import Optimizer, Shapes, Spec, UsageError
from mlpframe.config import DICTS, GROUPS, DType, Root, flat, read_root, schema
from mlpframe.discovery import beside_or_inside
from mlpframe.registry import REQUIRED, Option, options_of
from mlpframe.runs.compose import prepare_hydra
from mlpframe.training.network import create_layers

CONF = beside_or_inside("conf")
COMPONENTS = [(kind, name) for kind in GROUPS for name in registries[kind].names()]
PRESETS = sorted(file.relative_to(CONF).with_suffix("") for file in CONF.glob("*/**/*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def _hydra() -> Iterator[None]:
    prepare_hydra()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def read(*overrides: str) -> Root:
    return read_root(compose("config", list(overrides)))


def read_changed(*assignments: str) -> Root:
    """The defaults with changed values, as with ``++key=value``. This is faster than composing again."""
    config = copy.deepcopy(defaults())
    with open_dict(config):
        config.merge_with_dotlist(list(assignments))
    return read_root(config)


@cache
def defaults() -> DictConfig:
    return compose("config")


def sample(option: Option) -> Any:
    """A value for an option that has no default."""
    return {str: "something", int: 3, float: 0.5, bool: True}.get(option.type, ["linear"])


def create_all(root: Root) -> None:
    """Create every component that a configuration names."""
    for kind in GROUPS:
        if getattr(root, kind) is not None:  # without a loss, the task of the data set decides
            registries[kind].create(getattr(root, kind))
    for key, kind in DICTS.items():
        for spec in getattr(root, key).values():
            registries[kind].create(spec)
    create_layers(root.model, Shapes(4, 3, "classification"))


# --- every component, and every preset ---------------------------------------------------------------


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_a_component_composes_with_the_defaults_of_its_signature(kind: str, name: str) -> None:
    cls: Any = registries[kind][name]
    required = {option.name: sample(option) for option in options_of(cls) if option.default is REQUIRED}
    root = read(f"{kind}={name}", *(f"{kind}.{option}={value}" for option, value in required.items()))
    composed = dict(getattr(root, kind))
    assert composed.pop("name") == name
    signature = inspect.signature(cls).parameters
    expected = {option: argument.default for option, argument in signature.items()}
    expected |= vars(cls.shared) if hasattr(cls, "shared") else {}
    assert composed == expected | required
    create_all(root)


@pytest.mark.parametrize(
    ("group", "key"), [("model=layers", "model.layers"), ("dataset=npy", "dataset.[xy]")]
)
def test_an_option_without_a_default_is_required(group: str, key: str) -> None:
    with pytest.raises((UsageError, OmegaConfBaseException), match=key):
        read(group)


@pytest.mark.parametrize("preset", PRESETS, ids=str)
def test_a_preset_composes_and_its_components_are_created(preset: Any) -> None:
    group, *name = preset.parts
    given = [f"{group}={'/'.join(name)}"]
    given += ["dataset.file=table.csv"] * (set(preset.parts) & {"csv", "parquet", "table"} != set())
    create_all(read(*given))


def test_the_defaults_compose_and_their_components_are_created() -> None:
    root = read()
    assert root.dtype is DType.float32
    assert root.lr is None
    assert root.tracking == {"name": "mlflow", "uri": None, "experiment": "mlpframe", "parent": None}
    create_all(root)


@pytest.mark.parametrize("kind", [*GROUPS, "model", "tracking"])
def test_an_unknown_option_is_refused(kind: str) -> None:
    with pytest.raises(ConfigCompositionException, match=f"{kind}.no_such_option"):
        compose("config", [f"{kind}.no_such_option=1"])


def test_configurations_share_no_lists() -> None:
    first = read()
    first.model["hidden"].append(7)
    assert read().model["hidden"] == registries["model"].create("mlp").hidden == [100]


# --- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        ["lr=fast"],
        ["dtype=float16"],
        ["threads=1.5"],
        ["model.hidden=300"],
        ["optimizer=adam", "optimizer.beta1=[0.9]"],
        ["dataset.validation=some"],
        ["schedule=loss_ratio", "schedule.update_step=0.5"],
    ],
    ids=" ".join,
)
def test_a_value_of_another_type_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigCompositionException, match=f"Error merging override {overrides[-1][:8]}"):
        compose("config", overrides)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("lr=1", 1.0),
        ("lr=1e-3", 0.001),
        ("lr=null", None),
        ("threads=4", 4),
        ("threads=auto", "auto"),
        ("data_dir=/some/data", "/some/data"),
        ("dtype=float64", DType.float64),
    ],
)
def test_a_value_of_the_right_type_is_accepted(override: str, expected: Any) -> None:
    key = override.partition("=")[0]
    value = getattr(read_changed(override), key)
    assert value == expected
    assert type(value) is type(expected)


def test_a_spec_is_a_name_or_a_mapping() -> None:
    root = read("model.activation=tanh", "model.init={name: normal, std: 0.5}", "model.hidden=[5,4]")
    assert root.model["init"] == {"name": "normal", "std": 0.5}
    layers = create_layers(root.model, Shapes(4, 3, "classification"))
    assert [layer.name for layer in layers] == ["linear", "tanh", "linear", "tanh", "linear"]
    assert [layer.n_out(9) for layer in layers if layer.name == "linear"] == [5, 4, 3]


def test_schema_has_the_types_of_the_signature() -> None:
    class Every(Optimizer):
        """An optimizer with an option of every type that options may have."""

        default_lr = 0.1

        def __init__(
            self,
            *,
            needed: int,
            number: float = 1,
            maybe: float | None = None,
            flag: bool = False,
            text: str = "a",
            items: list[int] = [1],  # noqa: B006
            choice: DType = DType.float32,
            either: int | float = 1,
            spec: Spec = "relu",
            table: dict[str, float] | None = None,
        ) -> None: ...

        def update(self, *_: Any) -> None: ...

    config = OmegaConf.structured(schema("every", Every))
    assert OmegaConf.is_missing(config, "needed")
    for option, good, bad in (
        ("needed", 3, "x"),
        ("number", 2, "x"),
        ("maybe", None, "x"),
        ("flag", True, "x"),
        ("text", "b", [1]),
        ("items", [1, 2], ["x"]),
        ("choice", "float64", "float16"),
        ("either", 0.5, "x"),
        ("table", {"a": 1.0}, {"a": "x"}),
    ):
        config[option] = good
        with pytest.raises(OmegaConfBaseException):
            config[option] = bad
    for spec in ("tanh", {"name": "tanh"}):
        config.spec = spec
        assert config.spec == spec


# --- the adaptive rate of the report -----------------------------------------------------------------


def test_adaptive_is_sgd_with_the_ratio_of_losses() -> None:
    root = read("optimizer=adaptive", "lr=0.03")
    assert root.optimizer == read("optimizer=sgd").optimizer
    assert root.optimizer["name"] == "sgd"
    assert root.schedule == {"name": "loss_ratio", "update_step": 100}
    assert root.lr == 0.03


def test_adaptive_accepts_options_of_optimizer_and_schedule() -> None:
    root = read("optimizer=adaptive", "schedule.update_step=1000", "optimizer.clip_norm=1")
    assert root.schedule["update_step"] == 1000
    assert root.optimizer["clip_norm"] == 1.0
    assert registries["schedule"].create(root.schedule).window == 1000


@pytest.mark.parametrize("optimizer", registries["optimizer"].names())
def test_the_ratio_of_losses_works_with_any_optimizer(optimizer: str) -> None:
    root = read(f"optimizer={optimizer}", "schedule=loss_ratio", "schedule.update_step=7")
    assert root.optimizer["name"] == optimizer
    assert root.schedule == {"name": "loss_ratio", "update_step": 7}
    create_all(root)


# --- settings out of range ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed=-1", "seed must be at least 0, not -1"),
        ("epochs=0", "epochs must be at least 1, not 0"),
        ("batch_size=0", "batch_size must be at least 1, not 0"),
        ("log_every=0", "log_every must be at least 1, not 0"),
        ("lr=0", "lr must be more than 0, not 0.0"),
        ("lr=-0.1", "lr must be more than 0, not -0.1"),
        ("lr=nan", "lr must be more than 0, not nan"),
        ("threads=0", "threads must be at least 1, not 0"),
        ("threads=all", "threads must be auto or a whole number, not 'all'"),
    ],
)
def test_a_setting_out_of_range_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_changed(override)


@pytest.mark.parametrize("override", ["seed=0", "epochs=1", "batch_size=1", "log_every=1", "threads=1"])
def test_a_setting_at_the_end_of_its_range_is_accepted(override: str) -> None:
    key, _, value = override.partition("=")
    assert getattr(read_changed(override), key) == int(value)


# --- metrics and callbacks: dictionaries by name -----------------------------------------------------


def test_entries_of_dictionaries_have_all_their_options() -> None:
    root = read_changed("callbacks.early_stopping.patience=3", "metrics.error_rate={}")
    defaults = {
        option.name: option.default for option in options_of(registries["callback"]["early_stopping"])
    }
    assert root.callbacks["early_stopping"] == {**defaults, "name": "early_stopping", "patience": 3}
    assert root.metrics["error_rate"] == {"name": "error_rate"}
    assert root.metrics["accuracy"] == {"name": "accuracy"}
    create_all(root)


def test_null_removes_an_entry() -> None:
    root = read_changed("callbacks.progress=null", "metrics.r2=null")
    assert "progress" not in root.callbacks
    assert "r2" not in root.metrics
    assert "checkpoint" in root.callbacks


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("metrics.acuracy={}", "there is no metric 'acuracy'; nearest: accuracy"),
        ("callbacks.progres={}", "there is no callback 'progres'; nearest: progress"),
        ("callbacks.progres=null", "there is no callback 'progres'; nearest: progress"),
        ("callbacks.progress.styl=bar", "callbacks.progress has no option 'styl'; nearest: style"),
        ("callbacks.progress.every_seconds=soon", "callbacks.progress.every_seconds: .*'soon'"),
        ("callbacks.early_stopping.patience=1.5", "callbacks.early_stopping.patience: .*1.5"),
        ("callbacks.progress=5", "callbacks.progress must be a mapping of options, .*, not 5"),
        ("metrics.accuracy=best", "metrics.accuracy must be a mapping of options, .*, not 'best'"),
    ],
)
def test_a_wrong_entry_is_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_changed(override)


def test_flat_has_dotted_keys_and_whole_lists() -> None:
    nested = {"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}, "f": None, "g": {}}
    assert flat(nested) == {"a.b": 1, "a.c.d": [1, {"e": 2}], "f": None}


def test_a_seed_may_be_of_any_size() -> None:
    seed = read_changed(f"seed={2**64}").seed
    assert np.random.SeedSequence(seed).entropy == 2**64
