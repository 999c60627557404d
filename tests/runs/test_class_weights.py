"""``class_weights=balanced`` lets all classes together count the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mlpframe
from mlpframe.api import UsageError

X = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
Y = np.repeat([0, 1, 2], [150, 40, 10])
QUICK = ("tracking=none", "callbacks.progress=null", "epochs=2", "dataset.validation=0", "loss=cross_entropy")


def weights(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "model" / "model.npz") as model:
        return {name: model[name] for name in model.files if name == "w"}


def test_balanced_weights_are_those_of_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.utils.class_weight import compute_class_weight

    monkeypatch.chdir(tmp_path)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=Y).tolist()
    balanced = mlpframe.fit(X, Y, *QUICK, "loss.class_weights=balanced")
    listed = mlpframe.fit(X, Y, *QUICK, f"loss.class_weights={expected}")
    np.testing.assert_array_equal(weights(balanced.folder)["w"], weights(listed.folder)["w"])
    plain = mlpframe.fit(X, Y, *QUICK)
    assert (weights(plain.folder)["w"] != weights(listed.folder)["w"]).any()


def test_balanced_weights_need_one_class_for_each_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    several = np.eye(3, dtype=int)[Y]
    with pytest.raises(UsageError, match="class_weights=balanced needs one class for each row"):
        mlpframe.fit(X, several, *QUICK[:-1], "loss=binary_cross_entropy", "loss.class_weights=balanced")
    with pytest.raises(UsageError, match="must be a list of numbers or balanced, not 'even'"):
        mlpframe.fit(X, Y, *QUICK, "loss.class_weights=even")
