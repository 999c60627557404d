"""Data sets: published numbers, closed forms, tables as people write them, and files that are downloaded."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import math
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpframe import fit, registries
from mlpframe.api import Array, DataContext, Splits, UsageError
from mlpframe.training.predictor import Predictor
from tests.data import FILES, ROOT, data_dir, needs_fashion_mnist, needs_mnist
from tests.running import history, mlpframe, record, run_folders, the_run

DATASETS = registries["dataset"]
SHA256 = {  # the checksums of MNIST's published files
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load(name: str, folder: Path | None = None, **options: object) -> Splits:
    """Load a data set. Files are downloaded only if ``options`` names mirrors."""
    info = DATASETS.info(name)
    if any(option.name == "mirrors" for option in info.options):
        options.setdefault("mirrors", [])
    context = DataContext(folder or data_dir() or ROOT / "outputs", np.random.default_rng(0))
    return DATASETS.create(name, **options).load(context)


# --- digits, iris and diabetes -------------------------------------------------------------------


def test_digits_are_sixteenths_of_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    digits, splits = load_digits(), load("digits")
    assert splits.train.x.dtype == np.float32
    assert splits.image_shape == (8, 8)
    np.testing.assert_array_equal(splits.train.x * 16, digits.data)
    np.testing.assert_array_equal(splits.train.y, digits.target)
    assert splits.class_names == tuple("0123456789")


def test_iris_is_fishers() -> None:
    splits = load("iris")
    assert splits.class_names == ("setosa", "versicolor", "virginica")
    assert splits.feature_names[0] == "sepal length (cm)"
    # From Fisher's table: the means of the four measurements in cm, and fifty flowers of each species.
    np.testing.assert_allclose(splits.train.x.mean(0), [5.843, 3.057, 3.758, 1.199], atol=5e-4)
    np.testing.assert_array_equal(splits.train.y, np.repeat([0, 1, 2], 50))


def test_diabetes_is_in_its_own_units() -> None:
    splits = load("diabetes")
    assert splits.task == "regression"
    assert splits.train.x.shape == (442, 10)
    assert splits.feature_names[:4] == ("age", "sex", "bmi", "bp")
    assert (splits.train.x[0, 0], splits.train.y[0, 0]) == (59, 151)  # the first patient of the paper's table
    assert (splits.train.y.min(), splits.train.y.max()) == (25, 346)


# --- synth ---------------------------------------------------------------------------------------


def test_synth_is_the_published_data_bit_for_bit() -> None:
    splits = load("synth")
    train, validation = splits.train, splits.validation
    assert validation is not None
    assert splits.test is None
    np.testing.assert_allclose(train.x[0], [1.76405235, 0.40015721], atol=5e-9)
    assert train.y[:10].tolist() == [1, 1, 1, 1, 0, 1, 1, 0, 1, 0]
    assert np.bincount(train.y).tolist() == [26506, 33494]
    assert np.bincount(validation.y).tolist() == [4378, 5622]
    x = np.concatenate([train.x, validation.x])
    y = np.concatenate([train.y, validation.y])
    assert x.shape == (70_000, 2)
    assert hashlib.sha256(x.astype("<f8").tobytes()).hexdigest().startswith("9bd1548f555ca4c6")
    assert hashlib.sha256(y.astype("u1").tobytes()).hexdigest().startswith("bcabbd5c96b304f4")


def test_synth_classes_are_the_two_sides_of_the_ellipse() -> None:
    splits = load("synth")
    # The symmetric part of Q defines the same ellipse; its eigenvalues give the semi-axes 2.08 and 0.69.
    values, axes = np.linalg.eigh([[1, 0.475], [0.475, 0.4]])
    semi_axes = np.sqrt(0.6 / values)
    np.testing.assert_allclose(np.sort(semi_axes), [0.69, 2.08], atol=5e-3)
    distance = np.linalg.norm(splits.train.x @ axes / semi_axes, axis=1)
    outside = splits.train.y == splits.class_names.index("outside")
    np.testing.assert_array_equal(distance > 1, outside)


def test_synth_options_choose_fewer_points_or_another_seed() -> None:
    whole, part = load("synth"), load("synth", num_train=100, num_val=0)
    np.testing.assert_array_equal(part.train.x, whole.train.x[:100])
    assert part.validation is None
    assert not np.array_equal(load("synth", num_train=100, seed=1).train.x, part.train.x)


# --- wine and breast_cancer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "counts", "first"),
    [
        ("wine", [59, 71, 48], {"alcohol": 14.23, "malic_acid": 1.71, "proline": 1065}),
        ("breast_cancer", [212, 357], {"mean radius": 17.99, "mean texture": 10.38, "mean area": 1001}),
    ],
)
def test_tables_of_the_uci_repository(name: str, counts: list[int], first: dict[str, float]) -> None:
    splits = load(name)
    assert np.bincount(splits.train.y).tolist() == counts
    row = dict(zip(splits.feature_names, splits.train.x[0], strict=True))
    assert {feature: row[feature] for feature in first} == first
    assert DATASETS[name].shared.scaling == "standard"


# --- random points -------------------------------------------------------------------------------


def drawn(name: str, seed: int, **options: object) -> Splits:
    return DATASETS.create(name, **options).load(DataContext(ROOT, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", ["moons", "circles", "spirals", "blobs", "teacher"])
def test_random_points_have_the_asked_number_of_rows_depend_on_the_seed_and_alternate_in_class(
    name: str,
) -> None:
    splits = drawn(name, 0, rows=101)
    assert len(splits.train) == 101
    assert (splits.train.x != drawn(name, 1, rows=101).train.x).all()
    if splits.class_names:
        counts = np.bincount(splits.train.y[:50], minlength=len(splits.class_names))
        assert np.ptp(counts) <= 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("moons", {"rows": 1}, "rows must be at least 2, not 1"),
        ("spirals", {"arms": 5, "rows": 4}, "rows must be at least 5, not 4"),
        ("blobs", {"rows": 2}, "rows must be at least 3, not 2"),
        ("teacher", {"hidden": [4, 0]}, "hidden must be at least 1, not 0"),
    ],
)
def test_fewer_rows_than_classes_and_layers_without_units_are_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        DATASETS.create(name, **options)


@pytest.mark.parametrize("name", ["moons", "circles", "spirals"])
def test_noise_is_normal_with_its_deviation_in_every_coordinate(name: str) -> None:
    moved = drawn(name, 0, rows=10_000, noise=0.3).train.x - drawn(name, 0, rows=10_000, noise=0.0).train.x
    # Standard errors for 10,000 normal numbers: mean 0.003, standard deviation 0.0021, correlation 0.01.
    np.testing.assert_allclose(moved.mean(0), 0, atol=5 * 0.003)
    np.testing.assert_allclose(moved.std(0), 0.3, atol=5 * 0.0021)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.05
    assert np.mean(np.abs(moved) < 0.3) == pytest.approx(0.6827, abs=0.02)


def test_xor_is_the_truth_table() -> None:
    splits = load("xor")
    assert splits.train.x.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert [splits.class_names[y] for y in splits.train.y] == ["0", "1", "1", "0"]
    assert (splits.validation, splits.test) == (None, None)
    shared = DATASETS["xor"].shared
    assert (shared.validation, shared.test) == (0, 0)
    many = drawn("xor", 0, repeats=2500, noise=0.1).train
    corners = np.tile(splits.train.x, (2500, 1))
    np.testing.assert_array_equal(many.y, np.logical_xor(corners[:, 0], corners[:, 1]))
    assert (many.x - corners).std() == pytest.approx(0.1, abs=0.003)


def test_moons_lie_on_two_half_circles() -> None:
    train = drawn("moons", 0, noise=0.0).train
    upper, lower = train.x[train.y == 0], train.x[train.y == 1]
    np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1)
    assert (upper[:, 1] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(lower - [1, 0.5], axis=1), 1)
    assert (lower[:, 1] <= 0.5).all()
    # each half circle reaches into the other half circle
    assert (np.linalg.norm(upper - [1, 0.5], axis=1) < 1).any()
    assert (np.linalg.norm(lower, axis=1) < 1).any()


def test_circles_have_their_radii_and_go_all_the_way_around() -> None:
    splits = drawn("circles", 0, noise=0.0, factor=0.3, rows=2000)
    radius = np.linalg.norm(splits.train.x, axis=1)
    for name, expected in (("outer", 1), ("inner", 0.3)):
        mine = splits.train.y == splits.class_names.index(name)
        np.testing.assert_allclose(radius[mine], expected)
        angles = np.arctan2(*splits.train.x[mine].T)
        # Uniform angles: each of ten sectors has a binomial (1000, 0.1) number of points, deviation 9.5.
        assert np.abs(np.histogram(angles, 10, (-np.pi, np.pi))[0] - 100).max() < 5 * 9.5


@pytest.mark.parametrize(("arms", "turns"), [(2, 1.0), (3, 1.75)])
def test_spirals_wind_around_each_other(arms: int, turns: float) -> None:
    train = drawn("spirals", 0, noise=0.0, arms=arms, turns=turns).train
    radius = np.linalg.norm(train.x, axis=1)
    assert 0 < radius.min() < 0.05
    assert 0.95 < radius.max() < 1
    # At radius r an arm has turned by 2π · turns · r. Without this turn, a point has its arm's first angle.
    back = (train.x[:, 0] + 1j * train.x[:, 1]) / radius * np.exp(-2j * np.pi * turns * radius)
    np.testing.assert_allclose(back, np.exp(2j * np.pi * train.y / arms), atol=1e-9)


def test_blobs_are_round_clouds_around_their_centers() -> None:
    n = 4000
    train = drawn("blobs", 3, rows=4 * n, features=3, centers=4, std=2.0).train
    centers = drawn("blobs", 3, rows=4, features=3, centers=4, std=0.0).train.x
    assert (np.abs(centers) <= 10).all()
    for c in range(4):
        cloud = train.x[train.y == c] - centers[c]
        np.testing.assert_allclose(cloud.mean(0), 0, atol=5 * 2 / np.sqrt(n))
        np.testing.assert_allclose(np.cov(cloud.T), 4 * np.eye(3), atol=5 * 4 * np.sqrt(2 / n))


@pytest.mark.parametrize("hidden", [[], [4], [5, 3]])
def test_the_teacher_labels_by_its_own_forward_pass(hidden: list[int]) -> None:
    splits = drawn("teacher", 5, rows=20, features=3, hidden=hidden, outputs=2)
    assert splits.task == "regression"
    module = importlib.import_module("mlpframe.plugins.dataset.teacher")
    network = module.draw_network((3, *hidden, 2), np.random.default_rng(5))
    assert [W.shape for W, _ in network] == list(itertools.pairwise((3, *hidden, 2)))
    for x, y in zip(splits.train.x.tolist(), splits.train.y.tolist(), strict=True):
        values = x
        for number, (W, b) in enumerate(network):
            if number:
                values = [math.tanh(value) for value in values]
            values = [
                b[j] + sum(value * W[i, j] for i, value in enumerate(values)) for j in range(W.shape[1])
            ]
        assert y == pytest.approx(values, rel=1e-12)


def test_the_teacher_s_inputs_are_normal_and_noise_changes_the_targets_alone() -> None:
    clean, noisy = (drawn("teacher", 0, rows=10_000, noise=noise).train for noise in (0.0, 0.5))
    np.testing.assert_array_equal(clean.x, noisy.x)
    np.testing.assert_allclose(clean.x.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(np.cov(clean.x.T), np.eye(10), atol=5 * np.sqrt(2 / 10_000))
    assert (noisy.y - clean.y).std() == pytest.approx(0.5, abs=5 * 0.5 / np.sqrt(20_000))
    assert 0.1 < clean.y.std() < 10


# --- csv and parquet -----------------------------------------------------------------------------

FORMATS = {"csv": ("to_csv", {"index": False}), "parquet": ("to_parquet", {})}
formats = pytest.mark.parametrize("form", FORMATS)


def write(folder: Path, form: str, columns: dict[str, object], name: str = "table") -> str:
    """Let pandas write a file with these columns. Returns the file's name."""
    method, options = FORMATS[form]
    getattr(pd.DataFrame(columns), method)(folder / f"{name}.{form}", **options)
    return f"{name}.{form}"


def text(folder: Path, content: str, name: str = "table.csv") -> str:
    (folder / name).write_text(content)
    return name


def people(rows: int = 6) -> dict[str, object]:
    return {
        "age": np.resize([30, 41, 52], rows),
        "color": np.resize(["red", "blue", "red", "green"], rows),
        "height": np.resize([1.5, 1.75, 1.62, 1.81, 1.9], rows),
        "member": np.resize([True, False], rows),
        "label": np.resize(["yes", "no", "no"], rows),
    }


@formats
def test_the_columns_of_a_table_are_its_inputs_and_the_last_one_the_target(tmp_path: Path, form: str) -> None:
    splits = load(form, tmp_path, file=write(tmp_path, form, people()))
    assert splits.task == "classification"
    assert splits.class_names == ("no", "yes")
    assert splits.train.y.tolist() == [1, 0, 0, 1, 0, 0]
    expected = pd.DataFrame(people()).drop(columns="label")
    pd.testing.assert_frame_equal(splits.train.x, expected, check_dtype=False)
    assert splits.train.weights is None
    assert (splits.validation, splits.test) == (None, None)


@pytest.mark.parametrize(
    ("target", "names", "y"),
    [
        ([True, False, True, True], ("False", "True"), [1, 0, 1, 1]),
        ([10, 9, 10, 9], ("9", "10"), [1, 0, 1, 0]),  # classes are sorted as numbers, not as texts
        ([1.0, -1.0, 1.0, -1.0], ("-1", "1"), [1, 0, 1, 0]),
        (["b", "a", "B", "a"], ("B", "a", "b"), [2, 1, 0, 1]),
        (pd.Categorical(["b", "a", "b", "a"], ["b", "a", "unused"]), ("a", "b"), [1, 0, 1, 0]),
        ([0.5, 1.0, 2.0, 2.0], (), [[0.5], [1.0], [2.0], [2.0]]),
        ([1, 2, 3, 4], (), [[1], [2], [3], [4]]),  # whole numbers that rarely repeat: a regression
    ],
)
@formats
def test_the_values_of_the_target_decide_the_task_and_the_classes(
    tmp_path: Path, form: str, target: object, names: tuple[str, ...], y: list[object]
) -> None:
    splits = load(form, tmp_path, file=write(tmp_path, form, {"x": [1, 2, 3, 5], "y": target}))
    assert splits.class_names == names
    assert splits.train.y.tolist() == y


def test_up_to_twenty_different_whole_numbers_are_classes_unless_the_option_task_decides(
    tmp_path: Path,
) -> None:
    for values, task in ((20, "classification"), (21, "regression")):
        file = write(tmp_path, "csv", {"x": np.arange(60.0), "y": np.arange(60) % values})
        assert load("csv", tmp_path, file=file).task == task
        for said in ("classification", "regression"):
            assert load("csv", tmp_path, file=file, task=said).task == said
    file = write(tmp_path, "csv", {"x": [1, 2], "y": [True, False]})
    assert load("csv", tmp_path, file=file, task="regression").train.y.tolist() == [[1], [0]]


@pytest.mark.parametrize(
    ("a", "b", "task", "y"),
    [
        ([0, 1, 1], [1, 1, 0], "multilabel", [[0, 1], [1, 1], [1, 0]]),
        ([0.5, 1, 2], [1, 2, 3], "regression", [[0.5, 1], [1, 2], [2, 3]]),
    ],
)
def test_several_target_columns_are_multilabel_or_a_regression(
    tmp_path: Path, a: list[float], b: list[float], task: str, y: list[list[float]]
) -> None:
    file = write(tmp_path, "csv", {"a": a, "x": [3, 4, 5], "b": b})
    splits = load("csv", tmp_path, file=file, target=["a", "b"])
    assert (splits.task, splits.target_names) == (task, ("a", "b"))
    assert splits.train.y.tolist() == y
    assert list(splits.train.x.columns) == ["x"]


def test_options_name_the_columns_of_target_weights_and_parts_and_the_ignored_columns(tmp_path: Path) -> None:
    columns = {
        **people(),
        "w": [1, 2, 3, 4, 5, 0.5],
        "part": ["train", "test", "train", "validation"] + 2 * ["train"],
    }
    file = write(tmp_path, "csv", columns)
    options = {"target": "height", "weight": "w", "split_column": "part", "ignore": ["color", "label"]}
    splits = load("csv", tmp_path, file=file, **options)
    assert splits.task == "regression"
    assert splits.ignored == ("color", "label")
    for table, rows in (
        (splits.train, [0, 2, 4, 5]),
        (splits.validation, [3]),
        (splits.test, [1]),
    ):
        assert table is not None
        assert table.weights is not None
        assert table.weights.tolist() == [columns["w"][row] for row in rows]
        assert list(table.x.columns) == ["age", "member"]
        assert table.x["age"].tolist() == [columns["age"][row] for row in rows]
        assert table.y[:, 0].tolist() == [columns["height"][row] for row in rows]
    # without the option target, the last column without another role is the target
    assert load("csv", tmp_path, file=file, weight="w", split_column="part").class_names == ("no", "yes")


def test_parts_may_be_separate_files_with_their_columns_in_any_order(tmp_path: Path) -> None:
    file = write(tmp_path, "csv", {"c": ["b", "a"], "y": ["p", "q"]})
    other = write(tmp_path, "csv", {"y": ["r", "p"], "c": ["c", "a"], "more": [1, 2]}, "other")
    splits = load("csv", tmp_path, file=file, test_file=other)
    assert splits.class_names == ("p", "q", "r")
    assert splits.train.x["c"].tolist() == ["b", "a"]
    assert splits.test is not None
    assert splits.test.x["c"].tolist() == ["c", "a"]
    assert splits.test.y.tolist() == [2, 0]
    assert splits.validation is None
    both = load("csv", tmp_path, file=file, test_file=other, validation_file=other)
    assert both.validation is not None
    assert both.validation.x["c"].tolist() == ["c", "a"]


@formats
def test_rows_without_a_target_are_left_out_with_a_note(tmp_path: Path, form: str) -> None:
    columns = {"x": [1.5, 2.5, 3.5], "w": [1.0, 2.0, 3.0], "y": [1.5, np.nan, 3.5]}
    splits = load(form, tmp_path, file=write(tmp_path, form, columns), weight="w")
    assert splits.train.x["x"].tolist() == [1.5, 3.5]
    assert splits.train.weights is not None
    assert splits.train.weights.tolist() == [1, 3]
    assert splits.notes == ("1 rows without y are left out",)


def test_a_missing_weight_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "csv", {"x": [1.5, 2.5], "w": [1.0, np.nan], "y": [1.5, 3.5]})
    with pytest.raises(UsageError, match="1 rows have no weight w"):
        load("csv", tmp_path, file=file, weight="w")


@pytest.mark.parametrize(("split", "column"), [("group", "color"), ("time", "height")])
def test_the_column_split_by_gives_each_row_a_key_of_its_group_or_time(
    tmp_path: Path, split: str, column: str
) -> None:
    file = write(tmp_path, "csv", people())
    splits = load("csv", tmp_path, file=file, split=split, split_by=column)
    assert splits.train.keys is not None
    values = np.unique(people()[column])
    np.testing.assert_array_equal(values[splits.train.keys], people()[column])
    assert (column in splits.train.x.columns) == (split == "time")  # the column of groups is not an input


def test_files_are_found_by_path_in_the_working_directory_and_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, data = tmp_path / "here", tmp_path / "data"
    for number, folder in enumerate((here, data)):
        folder.mkdir()
        text(folder, f"x,y\n{number},0\n{number},1\n", "both.csv")
        text(folder, f"x,y\n{number},0\n{number},1\n", f"only{number}.csv")
    monkeypatch.chdir(here)
    for file, folder in (
        ("only0.csv", 0),
        ("only1.csv", 1),
        ("both.csv", 0),
        (str(data / "both.csv"), 1),
        ("../data/both.csv", 1),
    ):
        assert load("csv", data, file=file).train.x["x"].tolist() == [folder] * 2
    with pytest.raises(UsageError) as caught:
        load("csv", data, file="onyl1.csv")
    message, _, names = str(caught.value).partition("; nearest: ")
    assert message == f"dataset.file=onyl1.csv: there is no such file in {here} or {data}"
    assert names.startswith("only1.csv")
    with pytest.raises(UsageError, match=r"dataset\.test_file=x\.csv: there is no such file"):
        load("csv", data, file="only0.csv", test_file="x.csv")
    with pytest.raises(UsageError, match="in /nowhere; there are none"):
        load("csv", data, file="/nowhere/x.csv")


WRONG_TABLES: list[tuple[str, dict[str, object], str]] = [
    ("age,size,y\n1,2,0\n", {"target": "siez"}, "dataset.target: .* has no column 'siez'; nearest: size"),
    ("age,size,y\n1,2,0\n", {"weight": "w"}, "dataset.weight: .* no column 'w'; known: age, size, y"),
    ("age,size,y\n1,2,0\n", {"ignore": ["agee"]}, "dataset.ignore: .* 'agee'; nearest: age"),
    ("age,size,y\n1,2,0\n", {"categorical": ["agee"]}, "dataset.categorical: .* 'agee'; nearest: age"),
    ("age,size,y\n1,2,0\n", {"dates": ["agee"]}, "dataset.dates: .* 'agee'; nearest: age"),
    ("age,size,y\n1,2,0\n", {"keep": ["agee"]}, "dataset.keep: .* 'agee'; nearest: age"),
    ("age,size,y\n1,2,0\n", {"split_column": "parts"}, "dataset.split_column: .* no column 'parts'"),
    ("age,size,y\n1,2,0\n", {"target": "y", "ignore": ["y"]}, "dataset.target=y cannot also be in ignore"),
    ("y\n1\n", {}, "no columns left for inputs"),
    (
        "x,y,p\n1,2,train\n1,2,valid\n",
        {"split_column": "p"},
        "=p has 'valid'; expected train, validation, test",
    ),
    ("x,y,p\n1,2,test\n", {"split_column": "p"}, "=p has the value train in no row"),
    ("x,y\n1,a\n", {"task": "regression"}, "dataset.task=regression: the target y is text; expected numbers"),
    ("x,y\n1,a\n2,a\n", {}, "the target y has 1 class; expected at least 2"),
    ('x,y\n1,"1,5"\n2,"2,25"\n', {}, "looks like numbers, such as '1,5'.\n.*a decimal comma"),
    ("x,w,y\n1,a,0\n", {"weight": "w"}, "the column w must be numbers, and is text"),
    ("1.5,2.5\n1,2\n", {}, "the first line has numbers only; expected the names of the columns"),
    ("x,y\n1,2,3\n", {}, "rows have more fields than the first line has names"),
    ("x,y\n1,2\n1,2,3\n", {}, "cannot be read as CSV: .*line 3"),
    ("", {}, "is empty; expected a line with the names of the columns"),
    ("x,y\n", {}, "has no rows"),
    ("x,y,p\n1,,train\n1,2,test\n", {"split_column": "p"}, "no row of the training part has a target"),
]


@pytest.mark.parametrize(("content", "options", "message"), WRONG_TABLES)
def test_tables_that_cannot_be_used_are_refused(
    tmp_path: Path, content: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load("csv", tmp_path, file=text(tmp_path, content), **options)
    assert len(str(caught.value).splitlines()) <= 3


def test_files_of_another_format_or_with_other_columns_are_refused(tmp_path: Path) -> None:
    file = text(tmp_path, "x,y\n1,0\n")
    with pytest.raises(UsageError, match=r"table\.csv cannot be read as Parquet: "):
        load("parquet", tmp_path, file=file)
    binary = write(tmp_path, "parquet", people())
    with pytest.raises(UsageError, match=r"table\.parquet is not a CSV file"):
        load("csv", tmp_path, file=binary)
    other = text(tmp_path, "z,y\n1,0\n", "other.csv")
    with pytest.raises(UsageError, match=r"other\.csv lacks the column 'x'; known: y, z"):
        load("csv", tmp_path, file=file, test_file=other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "ranking"}, "task must be auto, classification, regression or multilabel, not 'ranking'"),
        ({"encoding": "binary"}, "encoding must be one_hot or codes, not 'binary'"),
        ({"max_categories": 0}, "max_categories must be at least 1, not 0"),
        ({"split": "group"}, "need split_by=<column>"),
        ({"split_by": "x"}, "need split_by=<column>; other splits have no split_by"),
        ({"split_column": "p", "test_file": "t"}, "split_column cannot be combined with"),
        ({}, "needs its option 'file'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DATASETS.create("csv", **({"file": "f", **options} if options else {}))


def test_the_saved_model_of_a_table_predicts_what_the_run_predicted(tmp_path: Path) -> None:
    """The command line trains on a CSV file with texts and missing values; this process loads the model."""
    rng = np.random.default_rng(0)
    n = 600
    color, size = rng.choice(["red", "green", "blue"], n), rng.normal(50, 10, n)
    frame = pd.DataFrame(
        {"color": color, "size": size, "noise": rng.normal(0, 1e-3, n), "flag": rng.random(n) < 0.5}
    )
    frame["label"] = np.where((color == "red") ^ (size > 50), "in", "out")
    frame.loc[rng.random(n) < 0.1, "noise"] = np.nan
    frame.loc[rng.random(n) < 0.1, "color"] = None
    held = frame[400:].copy()
    held.loc[held.index[0], "noise"] = 0.05  # 50 standard deviations: would change the mean
    frame[:400].to_csv(tmp_path / "train.csv", index=False)
    held.to_csv(tmp_path / "held.csv", index=False)
    settings = ("file=train.csv", "validation_file=held.csv", "test=0")
    quiet = ("epochs=30", "tracking=none", "callbacks.progress=null")
    done = mlpframe(tmp_path, "dataset=csv", *(f"dataset.{setting}" for setting in settings), *quiet)
    assert done.returncode == 0, done.stderr
    run = the_run(tmp_path)
    metrics = record(run)["metrics"]
    assert metrics["val/accuracy"] > 0.85  # a missing color (10 %) leaves a guess of ½

    predictor = Predictor(run / "model" / "model.npz")
    assert predictor.encoder.target.class_names == ("in", "out")
    probabilities, y = predictor.predict(held), (held["label"] == "out").to_numpy(int)
    assert np.isfinite(probabilities).all()
    assert np.mean(probabilities.argmax(1) == y) == metrics["val/accuracy"]
    assert -np.log(probabilities[np.arange(len(y)), y]).mean() == pytest.approx(metrics["val/loss"], rel=1e-5)
    # The model replaces a missing number by the mean of the training rows: filling in the mean by hand gives
    # the same predictions.
    by_hand = held.fillna({"noise": frame["noise"][:400].mean()})
    np.testing.assert_allclose(predictor.predict(by_hand), probabilities, rtol=1e-6)


# --- npy, npz and arrays -------------------------------------------------------------------------


def save(folder: Path, **arrays: object) -> str:
    np.savez(folder / "arrays.npz", **arrays)
    return "arrays.npz"


X = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_npy_reads_weights_and_test_files_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", [0, 1, 0, 1])
    np.save(tmp_path / "w.npy", [1.0, 2, 3, 4])
    options = {"x": "x.npy", "y": "y.npy", "weights": "w.npy", "test_x": "x.npy", "test_y": "y.npy"}
    monkeypatch.chdir(tmp_path)
    splits = load("npy", tmp_path / "nowhere", **options)
    assert splits.train.mapping is not None
    assert splits.train.weights is not None
    assert splits.train.weights.tolist() == [1, 2, 3, 4]
    assert splits.test is not None
    assert splits.test.weights is None
    with pytest.raises(UsageError, match=r"dataset\.y=yy\.npy: there is no such file .*nearest: y\.npy"):
        load("npy", tmp_path, x="x.npy", y="yy.npy")
    text(tmp_path, "no array", "t.npy")
    with pytest.raises(UsageError, match=r"t\.npy cannot be read: it is no array of NumPy"):
        load("npy", tmp_path, x="t.npy", y="y.npy")


@pytest.mark.parametrize(
    ("y", "names", "expected"),
    [
        ([3, 1, 3, 7], ("1", "3", "7"), [1, 0, 1, 2]),
        (["b", "a", "b", "a"], ("a", "b"), [1, 0, 1, 0]),
        ([True, False, False, True], ("False", "True"), [1, 0, 0, 1]),
        ([1.0, 2.0, 3.0, 4.0], (), [[1], [2], [3], [4]]),
        ([[1.0, 2.0]] * 4, (), [[1, 2]] * 4),
        ([[0.0, 1.0]] * 4, (), [[0, 1]] * 4),
        ([[0, 1, 1]] * 4, ("0", "1", "2"), [[0, 1, 1]] * 4),
        ([[False, True]] * 4, ("0", "1"), [[0, 1]] * 4),
    ],
)
def test_npz_targets(tmp_path: Path, y: object, names: tuple[str, ...], expected: list[object]) -> None:
    splits = load("npz", tmp_path, file=save(tmp_path, x=X, y=np.array(y)))
    np.testing.assert_array_equal(splits.train.x, X)
    assert splits.class_names == names
    assert splits.train.y.tolist() == expected


@pytest.mark.parametrize(
    ("y", "task", "names", "expected"),
    [
        ([[0.0, 1.0]] * 4, "multilabel", ("0", "1"), [[0, 1]] * 4),
        ([[1]] * 4, "multilabel", ("0",), [[1]] * 4),
        ([[0, 1]] * 4, "regression", (), [[0, 1]] * 4),
        ([3, 1, 3, 7], "regression", (), [[3], [1], [3], [7]]),
        ([3, 1, 3, 7], "classification", ("1", "3", "7"), [1, 0, 1, 2]),
    ],
)
def test_npz_targets_follow_the_option_task(
    tmp_path: Path, y: object, task: str, names: tuple[str, ...], expected: list[object]
) -> None:
    splits = load("npz", tmp_path, file=save(tmp_path, x=X, y=np.array(y)), task=task)
    assert (splits.task, splits.class_names) == (task, names)
    assert splits.train.y.tolist() == expected


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        (
            [0, 1, 0, 1],
            "multilabel",
            r"must be numbers \(rows, classes\), 0 or 1 .*, not int64 of shape \(4,\)",
        ),
        ([0.0, 1.0, 0.0, 1.0], "classification", r"must be classes \(rows,\), not float64"),
        ([[0, 1]] * 4, "classification", r"must be classes \(rows,\), not int64 of shape \(4, 2\)"),
        (["a", "b", "a", "b"], "regression", r"must be numbers \(rows,\) or \(rows, outputs\), not <U1"),
        (
            [0, 1, 0, 1],
            "ranking",
            "task must be auto, classification, multilabel or regression, not 'ranking'",
        ),
    ],
)
def test_npz_targets_that_do_not_fit_the_option_task_are_refused(
    tmp_path: Path, y: object, task: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load("npz", tmp_path, file=save(tmp_path, x=X, y=np.array(y)), task=task)


def test_npz_arrays_by_name(tmp_path: Path) -> None:
    images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    file = save(tmp_path, x_train=images, y_train=[4, 5], x_test=images[:1], y_test=[6], w=[1.0, 2.0])
    options = {"x": "x_train", "y": "y_train", "test_x": "x_test", "test_y": "y_test", "weights": "w"}
    splits = load("npz", tmp_path, file=file, **options)
    assert splits.image_shape == (3, 4)
    assert splits.train.x.dtype == np.float32
    np.testing.assert_array_equal(splits.train.x, np.arange(24).reshape(2, 12))
    assert splits.class_names == ("4", "5", "6")
    assert splits.test is not None
    assert splits.test.y.tolist() == [2]
    assert splits.train.weights is not None
    assert splits.train.weights.tolist() == [1, 2]
    with pytest.raises(UsageError, match=r"dataset\.x=x: .* has no array 'x'; (known|nearest): .*x_train"):
        load("npz", tmp_path, file=file)
    with pytest.raises(UsageError, match="test_x and test_y must be given together"):
        DATASETS.create("npz", file=file, test_x="x_test")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X[0], "y": [0]}, r"inputs must be numbers of shape .* not float32 of shape \(3,\)"),
        ({"x": np.array([["a"]]), "y": [0]}, "inputs must be numbers of shape"),
        ({"x": X, "y": [[0], [1], [0], [1]]}, r"targets must be classes \(rows,\), or floating"),
        ({"x": X, "y": np.array([{}, 1, 2, 3], dtype=object)}, "the array 'y' cannot be read: .*pickle"),
    ],
)
def test_npz_arrays_that_cannot_be_used_are_refused(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        load("npz", tmp_path, file=save(tmp_path, **arrays))


def test_arrays_come_from_python_alone() -> None:
    with pytest.raises(UsageError, match=r"dataset=arrays has no data of its own: .*mlpframe\.fit"):
        load("arrays")


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Settings for a run that writes files only in ``tmp_path`` and prints nothing."""
    monkeypatch.chdir(tmp_path)
    return ["tracking=none", "callbacks.progress=null"]


def test_fit_trains_on_arrays_as_the_command_line_does_on_files(tmp_path: Path, quiet: list[str]) -> None:
    points = drawn("moons", 0, rows=400).train
    labels = np.array(["up", "down"])[points.y]
    options = [*quiet, "optimizer=adam", "lr=0.01", "epochs=20", "seed=3"]
    fitted = fit(points.x, labels, *options)
    assert fitted.metrics["val/accuracy"] > 0.95
    assert fitted.folder.is_relative_to(tmp_path)
    assert record(fitted.folder)["status"] == "finished"
    assert fitted.predictor.encoder.target.class_names == ("down", "up")
    predicted = np.array(["down", "up"])[fitted.predictor.predict(points.x).argmax(1)]
    assert np.mean(predicted == labels) > 0.95
    file = save(tmp_path, x=points.x, y=labels)
    ended = mlpframe(tmp_path, "dataset=npz", f"dataset.file={file}", "dataset.scaling=standard", *options)
    assert ended.returncode == 0, ended.stderr
    losses = [
        [value for _, name, value in history(run) if name == "val/loss"] for run in run_folders(tmp_path)
    ]
    assert len(losses) == 2
    assert losses[0] == losses[1]


def several(rows: int) -> tuple[Array, Array]:
    """Multilabel data: a row has each of three classes if a linear function of the row exceeds 0."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 4))
    return x, (x @ rng.standard_normal((4, 3)) > 0).astype(np.int64)


MULTILABEL = ["loss=binary_cross_entropy", "optimizer=adam", "lr=0.02", "epochs=30", "+metrics.f1={}"]


def test_fit_where_a_row_may_have_several_classes(quiet: list[str]) -> None:
    x, y = several(400)
    fitted = fit(x, pd.DataFrame(y, columns=["red", "round", "ripe"]), *quiet, *MULTILABEL, "seed=3")
    assert fitted.metrics["val/subset_accuracy"] > 0.9
    assert fitted.metrics["val/f1"] > 0.95
    assert not {"val/accuracy", "train/accuracy", "val/r2"} & fitted.metrics.keys()
    assert fitted.predictor.encoder.target.class_names == ("red", "round", "ripe")
    assert fitted.predictor.about["shapes"]["task"] == "multilabel"
    probabilities, chosen = fitted.predictor.predict(x), fitted.predictor.predict_classes(x)
    assert probabilities.shape == (400, 3)
    assert np.ptp(probabilities.sum(1)) > 1  # the probabilities of a row need not sum to 1
    np.testing.assert_array_equal(chosen, probabilities > 0.5)
    assert np.mean(chosen == y) > 0.97
    for targets, settings in ((y.astype(bool), []), (y.astype(float), ["dataset.task=multilabel"])):
        again = fit(x, targets, *quiet, *MULTILABEL, "seed=3", *settings)
        np.testing.assert_array_equal(again.predictor.predict(x), probabilities)


def test_the_probabilities_are_the_sigmoid_of_the_outputs(quiet: list[str]) -> None:
    x, y = several(100)
    fitted = fit(x, y, *quiet, *MULTILABEL, "model.hidden=[]", "dataset.scaling=none", "dtype=float64")
    layer = fitted.predictor.network.views(fitted.predictor.network.w)
    outputs = x @ layer["0.linear.W"] + layer["0.linear.b"]
    np.testing.assert_allclose(fitted.predictor.predict(x), 1 / (1 + np.exp(-outputs)), rtol=1e-10)


def test_predict_classes_returns_the_most_probable_class_and_refuses_a_regression(quiet: list[str]) -> None:
    x, y = several(60)
    predictor = fit(x, y[:, 0], *quiet, "epochs=1").predictor
    np.testing.assert_array_equal(predictor.predict_classes(x), predictor.predict(x).argmax(1))
    values = fit(x, x[:, 0], *quiet, "epochs=1", "loss=mse").predictor
    with pytest.raises(UsageError, match="the model predicts the values of a regression"):
        values.predict_classes(x)


def test_multilabel_training_from_a_file_works_with_weights_replicas_and_mixup(
    tmp_path: Path, quiet: list[str]
) -> None:
    x, y = several(200)
    file = save(tmp_path, x=x, y=y, w=np.linspace(0, 2, 200))
    data = ["dataset=npz", f"dataset.file={file}", "dataset.weights=w", "engine=numpy"]
    settings = [*data, *quiet, *MULTILABEL, "+metrics.per_class={}"]
    together = mlpframe(tmp_path, *settings, "replicas=2")
    assert together.returncode == 0, together.stderr
    for seed in (0, 1):
        assert mlpframe(tmp_path, *settings, f"seed={seed}").returncode == 0
    found: dict[int, list[list[float]]] = {}
    for run in (file.parent for file in (tmp_path / "outputs").rglob("run.json")):
        losses = [value for _, name, value in history(run) if name == "val/loss"]
        found.setdefault(record(run)["seed"], []).append(losses)
    assert {seed: len(losses) for seed, losses in found.items()} == {0: 2, 1: 2}
    for stacked, alone in found.values():
        assert stacked == pytest.approx(alone, rel=1e-4)
    mixed = mlpframe(tmp_path, *settings, "+transforms.mixup={}")
    assert mixed.returncode == 0, mixed.stderr


def test_fit_with_a_test_part_weights_and_names(quiet: list[str]) -> None:
    rng = np.random.default_rng(0)
    x = pd.DataFrame(rng.standard_normal((200, 2)), columns=["width", "height"])
    x.iloc[0, 0] = np.nan
    y = 2 * x["height"].to_numpy() - 1
    y[:100] = 1e3  # these rows have the weight 0
    weights = np.repeat([0.0, 1.0], 100)
    held = rng.standard_normal((50, 2))
    settings = ["loss=mse", "final=true", "optimizer=adam", "lr=0.03", "epochs=100", "model.hidden=[]"]
    fitted = fit(
        x,
        y,
        *quiet,
        *settings,
        "dataset.missing=impute",
        test=(held, 2 * held[:, 1] - 1),
        weights=weights,
    )
    assert fitted.predictor.encoder.feature_names == ("width", "height")
    assert fitted.metrics["test/r2"] > 0.99
    np.testing.assert_allclose(fitted.predictor.predict(held)[:, 0], 2 * held[:, 1] - 1, atol=0.3)


def test_fit_refuses_wrong_arguments_and_leaves_no_files(tmp_path: Path, quiet: list[str]) -> None:
    x, y = np.zeros((10, 2)), np.arange(10) % 2
    for arrays, settings, message in (
        ((x, y), ["dataset=iris"], "fit trains on its arguments x and y, not on dataset=iris"),
        ((x, y[:9]), [], "expected x .rows, features. and y .rows,."),
        (
            (x, y.astype(float)),
            ["loss=cross_entropy"],
            "loss=cross_entropy is for classification, but dataset=arrays is a regression",
        ),
        (
            (x, np.eye(2, dtype=int)[y]),
            ["loss=cross_entropy"],
            "loss=cross_entropy is for classification, but dataset=arrays is a multilabel task; "
            "losses for multilabel: binary_cross_entropy, mse",
        ),
        (
            (x, np.full((10, 2), 3)),
            [],
            "0 or 1, not 3; the values of a regression are floating-point numbers",
        ),
        ((x, y[:, None]), [], r"targets must be classes \(rows,\)"),
        ((x * np.nan, y), ["dataset.missing=error"], "missing values"),
        ((x, y), ["epochs=0"], "epochs must be at least 1"),
    ):
        with pytest.raises(UsageError, match=message):
            fit(*arrays, *quiet, *settings)
    assert run_folders(tmp_path) == []
    assert list(tmp_path.rglob("*.lock")) == []


def test_a_run_that_diverges_is_an_error_that_names_its_folder(quiet: list[str]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(RuntimeError, match="diverged"):
        fit(rng.standard_normal((100, 2)), rng.standard_normal(100), *quiet, "loss=mse", "lr=1e30")


# --- MNIST and Fashion-MNIST ---------------------------------------------------------------------


@needs_mnist
def test_mnist_is_what_was_published() -> None:
    splits = load("mnist")
    train, test = splits.train, splits.test
    assert test is not None
    assert splits.validation is None
    assert (train.x.shape, test.x.shape) == ((60_000, 784), (10_000, 784))
    assert train.x.dtype == np.float32
    assert np.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert (train.x.min(), train.x.max()) == (0, 1)
    mean = train.x.mean(dtype=np.float64)
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert np.sqrt(np.square(train.x).mean(dtype=np.float64) - mean**2) == pytest.approx(0.3081, abs=5e-5)
    # The pixels of an image come row by row: the first four rows of every image are empty.
    assert not train.x.reshape(-1, 28, 28)[0, :4].any()


@needs_fashion_mnist
def test_fashion_mnist_is_what_was_published() -> None:
    splits = load("fashion_mnist")
    assert splits.test is not None
    assert splits.train.x.shape == (60_000, 784)
    assert np.bincount(splits.train.y).tolist() == [6000] * 10
    assert np.bincount(splits.test.y).tolist() == [1000] * 10
    assert splits.class_names[splits.train.y[0]] == "Ankle boot"
    assert splits.train.x.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)


def idx(*dims: int, magic: tuple[int, ...] = (0, 0, 8)) -> bytes:
    header = bytes(magic) + bytes([len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
    return header + bytes(range(int(np.prod(dims))))


def parse(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return importlib.import_module("mlpframe.plugins.dataset._idx").parse(content, shape, "file")


def test_idx_elements_come_row_by_row() -> None:
    np.testing.assert_array_equal(parse(idx(2, 3), (2, 3)), [[0, 1, 2], [3, 4, 5]])
    assert parse(idx(5), (5,)).dtype == np.uint8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        idx(2, 3)[:7],
        idx(2, 3)[:-1],
        idx(2, 3) + b"\0",
        idx(3, 2),
        idx(6),
        idx(1, 2, 3),
        idx(2, 3, magic=(0, 0, 9)),  # the code of signed bytes
        idx(2, 3, magic=(0, 1, 8)),
        struct.pack("<4B2I", 0, 0, 8, 2, 2, 3) + bytes(6),  # little-endian sizes
    ],
)
def test_idx_of_another_shape_or_type_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match="file"):
        parse(content, (2, 3))


# --- finding, checking and downloading -----------------------------------------------------------


@dataclass
class Mirror:
    """A web server on this machine that serves a folder. ``asked``: the files that clients asked for."""

    url: str
    asked: list[str] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Mirror]]:
    """A function that starts a mirror of a folder. The mirrors end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # a proxy would not reach this machine's own servers
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(_served(folder))


@contextmanager
def _served(folder: Path) -> Iterator[Mirror]:
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path.lstrip("/"))
            mirror.may_answer.wait(60)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        mirror = Mirror(f"http://127.0.0.1:{server.server_address[1]}")
        mirror.may_answer.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield mirror
        finally:
            mirror.may_answer.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def dead() -> str:
    """The address of a mirror that does not exist: no server listens there."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/gone"


@pytest.fixture
def good(serve: Callable[[Path], Mirror]) -> Mirror:
    """A mirror that serves MNIST's real files."""
    folder = data_dir()
    assert folder is not None
    return serve(folder / "mnist")


@pytest.fixture
def corrupt(serve: Callable[[Path], Mirror], tmp_path: Path) -> Mirror:
    """A mirror that serves wrong contents under the right file names."""
    folder = tmp_path / "corrupt"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(b"not what you asked for" * 1000)
    return serve(folder)


def files(folder: Path) -> list[str]:
    """The files in a folder, without the empty lock file."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


@needs_mnist
def test_files_are_downloaded_from_the_first_mirror_that_serves_the_right_ones(
    tmp_path: Path, good: Mirror, corrupt: Mirror, dead: str
) -> None:
    folder = tmp_path / "new" / "data"
    splits = load("mnist", folder, mirrors=[dead, corrupt.url, good.url + "/"])
    assert splits.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert sorted(good.asked) == sorted(corrupt.asked) == sorted(FILES)
    assert files(folder / "mnist") == sorted(FILES)
    (tmp_path / "any").touch()
    for file in FILES:
        path = folder / "mnist" / file
        assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[file]
        assert path.stat().st_mode == (tmp_path / "any").stat().st_mode  # the mode of any new file
    load("mnist", folder, mirrors=[good.url])
    assert len(good.asked) == len(FILES)  # no second download


@needs_mnist
def test_a_partial_download_of_a_killed_process_is_replaced(tmp_path: Path, good: Mirror) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz.part").write_bytes(b"half")
    load("mnist", tmp_path, mirrors=[good.url])
    assert files(tmp_path / "mnist") == sorted(FILES)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_when_all_mirrors_fail_the_error_says_which_file_to_put_where(
    tmp_path: Path, serve: Callable[[Path], Mirror], corrupt: Mirror, dead: str, name: str
) -> None:
    folder = tmp_path / "data"
    (tmp_path / "empty").mkdir()
    empty = serve(tmp_path / "empty")
    for last, reason in ((empty.url, "404"), (corrupt.url, "SHA-256"), (dead, "refused")):
        with pytest.raises(UsageError) as caught:
            load(name, folder, mirrors=[dead, last])
        text = str(caught.value)
        assert len(text.splitlines()) <= 3
        assert str(folder / name.replace("_", "-") / "train-images-idx3-ubyte.gz") in text
        assert last in text
        assert reason in text
        assert files(folder / name.replace("_", "-")) == []
    assert SHA256["train-images-idx3-ubyte.gz"] in text or name != "mnist"


def test_no_mirrors_means_no_download_and_a_mirror_is_a_web_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no mirror is given"):
        load("mnist", tmp_path, mirrors=[])
    with pytest.raises(UsageError, match=r"mirrors .* 'ftp://example\.org'"):
        DATASETS.create("mnist", mirrors=["https://example.org", "ftp://example.org"])


@needs_mnist
def test_a_damaged_file_is_named_with_both_checksums_and_left_alone(tmp_path: Path, good: Mirror) -> None:
    load("mnist", tmp_path, mirrors=[good.url])
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load("mnist", tmp_path, mirrors=[good.url])
    text = str(caught.value)
    assert len(text.splitlines()) <= 3
    for part in (str(path), SHA256[path.name], hashlib.sha256(content).hexdigest(), "delete"):
        assert part in text
    assert path.read_bytes() == content
    path.unlink()  # as the message advises
    assert load("mnist", tmp_path, mirrors=[good.url]).test is not None


def test_a_file_in_the_place_of_a_folder_and_the_other_way_round_are_usage_errors(
    tmp_path: Path, dead: str
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written to") as caught:
        load("mnist", tmp_path / "file" / "data", mirrors=[dead])
    assert len(str(caught.value).splitlines()) <= 3
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.mkdir(parents=True)
    with pytest.raises(UsageError, match=f"cannot read.*{path}"):
        load("mnist", tmp_path, mirrors=[dead])


@needs_mnist
def test_files_are_read_from_a_folder_that_is_not_written_to(tmp_path: Path) -> None:
    source = data_dir()
    assert source is not None
    (tmp_path / "mnist").mkdir()
    for file in FILES:
        (tmp_path / "mnist" / file).symlink_to(source / "mnist" / file)
    (tmp_path / "mnist").chmod(0o555)
    try:
        load("mnist", tmp_path)
        assert sorted(os.listdir(tmp_path / "mnist")) == sorted(FILES)  # and no lock file
    finally:
        (tmp_path / "mnist").chmod(0o755)


LOADER = """
import sys
from pathlib import Path
import numpy as np
from mlpframe import registries
from mlpframe.api import Array, DataContext, UsageError
folder, limit, *mirrors = sys.argv[1:]
dataset = registries["dataset"].create("mnist", mirrors=mirrors)
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
print("ready", flush=True)
try:
    print(dataset.load(DataContext(Path(folder), np.random.default_rng(0))).train.y[:5])
except UsageError as error:
    print(error)
"""


def start(
    folder: Path, *mirrors: str, limit: int = 0, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start a process that loads MNIST. It may write files of at most ``limit`` bytes (0: of any size)."""
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, str(folder), str(limit), *mirrors],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@needs_mnist
def test_two_processes_download_side_by_side(tmp_path: Path, good: Mirror) -> None:
    good.may_answer.clear()
    both = [start(tmp_path, good.url) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    good.may_answer.set()  # both processes now want the same missing files
    for process in both:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "[5 0 4 1 9]"
        assert err == ""  # no progress bar outside a terminal
        assert process.returncode == 0
    assert sorted(good.asked) == sorted(FILES)  # the second process used the first one's files
    assert files(tmp_path / "mnist") == sorted(FILES)


@needs_mnist
@pytest.mark.skipif(os.name == "nt", reason="the size of a process's files cannot be limited")
def test_a_full_disk_leaves_no_partial_files(tmp_path: Path, good: Mirror) -> None:
    process = start(tmp_path, good.url, limit=100_000)
    out, err = process.communicate(timeout=120)
    assert "train-images-idx3-ubyte.gz is missing" in out
    assert "File too large" in out
    assert err == ""
    assert files(tmp_path / "mnist") == []


@needs_mnist
@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_on_a_terminal_a_progress_bar_is_shown(tmp_path: Path, good: Mirror) -> None:
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # a terminal without a size shows no bar
    process = start(tmp_path, good.url, stderr=theirs)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(1024):
                shown += chunk
        except OSError:  # on Linux: the process has closed the terminal
            pass
    out, _ = process.communicate(timeout=120)
    assert "[5 0 4 1 9]" in out, shown.decode()
    assert shown.count(b"100%|") >= len(FILES)
