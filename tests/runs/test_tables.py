"""The default settings for a user's own tables, and the preset ``experiment=table``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpframe.runs.compose import compose
from mlpframe.runs.folder import RunFolder
from mlpframe.runs.keys import components
from mlpframe.runs.overrides import Override
from mlpframe.runs.request import Request
from mlpframe.runs.train import Outcome, train
from mlpframe.training.history import History
from mlpframe.training.predictor import Predictor

QUIET = ("tracking=none", "threads=1", "callbacks.progress=null", "callbacks.checkpoint=null")


def draw_flowers(rows: int, seed: int = 0) -> pd.DataFrame:
    """Flowers whose height depends on their color and on the sun. The heights are numbers far from 1."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(0, 3, rows)
    sun = rng.normal(50, 10, rows)
    height = 10_000 + 1_000 * colors + 100 * sun + rng.normal(scale=50, size=rows)
    frame = pd.DataFrame({"color": np.array(["blue", "red", "white"])[colors], "sun": sun, "height": height})
    frame.loc[::10, "sun"] = np.nan
    return frame


def run(folder: Path, frame: pd.DataFrame, *overrides: str) -> Outcome:
    file = folder / "table.csv"
    frame.to_csv(file, index=False)
    given = [f"dataset.file='{file}'", *QUIET, *overrides]
    (outcome,) = train([Request(compose(given), given, RunFolder(folder / "run"))])
    return outcome


def predictor(folder: Path) -> Predictor:
    return Predictor(folder / "run" / "model" / "model.npz")


@pytest.mark.parametrize("setting", ["dataset=csv", "experiment=table"])
def test_a_regression_in_any_unit_is_learned(tmp_path: Path, setting: str) -> None:
    outcome = run(tmp_path, draw_flowers(300), setting, "epochs=40")
    assert outcome.status == "finished"
    new = draw_flowers(200, seed=1).dropna()
    errors = predictor(tmp_path).predict(new)[:, 0] - new["height"]
    assert np.sqrt(np.mean(errors**2)) < 0.3 * new["height"].std()


@pytest.mark.parametrize("setting", ["dataset=csv", "experiment=table"])
def test_classes_are_learned_and_a_color_never_seen_is_predicted(tmp_path: Path, setting: str) -> None:
    frame = draw_flowers(300)
    frame["height"] = np.where(frame["height"] > frame["height"].median(), "tall", "short")
    outcome = run(tmp_path, frame, setting, "epochs=40")
    assert outcome.metrics["val/accuracy"] > 0.8
    probabilities = predictor(tmp_path).predict(frame.assign(color="green"))
    assert np.isfinite(probabilities).all()


def test_the_model_has_the_weights_of_the_best_epoch(tmp_path: Path) -> None:
    frame = draw_flowers(60).assign(height=np.random.default_rng(2).normal(size=60))  # noise
    outcome = run(tmp_path, frame, "dataset=csv", "epochs=60", "callbacks.keep_best.min_rows=1")
    _, losses = History.read_csv(tmp_path / "run" / "history" / "history.csv").series("val/loss")
    *by_epoch, kept = losses
    assert len(by_epoch) == 60
    assert kept == outcome.metrics["val/loss"] == min(by_epoch) < by_epoch[-1]


def test_few_validation_rows_do_not_choose_the_weights(tmp_path: Path) -> None:
    frame = draw_flowers(60).assign(height=np.random.default_rng(2).normal(size=60))
    run(tmp_path, frame, "dataset=csv", "epochs=60", "callbacks.keep_best.min_rows=7")
    _, losses = History.read_csv(tmp_path / "run" / "history" / "history.csv").series("val/loss")
    assert len(losses) == 60


def test_without_validation_the_last_weights_are_kept(tmp_path: Path) -> None:
    outcome = run(tmp_path, draw_flowers(60), "dataset=csv", "epochs=2", "final=true")
    assert outcome.status == "finished"
    assert "test/loss" in outcome.metrics


@pytest.mark.parametrize("setting", ["dataset=csv", "experiment=table"])
def test_five_rows_are_enough(tmp_path: Path, setting: str) -> None:
    outcome = run(tmp_path, draw_flowers(5), setting, "epochs=2")
    assert outcome.status == "finished"
    assert np.isfinite(predictor(tmp_path).predict(draw_flowers(3))).all()


def chosen(*words: str) -> tuple[str, str, str]:
    """The data set, optimizer and schedule that Hydra chooses. The check of keys must choose the same."""
    config = compose(list(words))
    by_group = components([Override.parse(word) for word in words])
    groups = ("dataset", "optimizer", "schedule")
    names = tuple(config[group].name for group in groups)
    assert names == tuple(by_group[group] for group in groups)
    return names


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ("digits", "sgd", "constant")),
        (["dataset=mnist"], ("mnist", "sgd", "constant")),
        (["dataset=csv", "dataset.file=x"], ("csv", "adam", "cosine")),
        (["dataset=parquet", "dataset.file=x", "optimizer.beta1=0.8"], ("parquet", "adam", "cosine")),
        (["dataset=csv", "dataset.file=x", "optimizer=sgd"], ("csv", "sgd", "constant")),
        (["dataset=csv", "dataset.file=x", "optimizer=adaptive"], ("csv", "sgd", "loss_ratio")),
        (["experiment=fashion_best", "dataset=csv", "dataset.file=x"], ("csv", "adamw", "cosine")),
        (["experiment=table", "dataset.file=x"], ("csv", "adam", "coslog")),
        (["experiment=table", "dataset=parquet", "dataset.file=x"], ("parquet", "adam", "coslog")),
    ],
)
def test_a_data_set_chooses_defaults_that_presets_and_commands_replace(
    words: list[str], names: tuple[str, ...]
) -> None:
    assert chosen(*words) == names
