"""Preparation of a loaded data set: held-out rows, standardization, missing values, mapped files."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import DataContext, Dataset, Preparation, Splits, Table, UsageError
from mlpframe.tracking.messages import data_parts, digest
from mlpframe.training.data.mapped import CHUNK_BYTES, SHUFFLE_BYTES, shuffled
from mlpframe.training.data.prepare import Data, data_folder, load_data
from mlpframe.training.rng import Streams
from tests.data import data_dir, needs_mnist
from tests.running import run_python

COUNTS = (53, 31, 16)  # rows of three classes, of which no tested fraction is a whole number


class Given(Dataset):
    """A data set of the given parts."""

    name = "given"

    def __init__(self, splits: Splits, **preparation: Any) -> None:
        self.splits, self.shared = splits, Preparation(**preparation)

    def load(self, context: DataContext) -> Splits:
        return self.splits


def table(rows: int, first: int = 0) -> Table:
    """Rows whose first feature is the row's number."""
    numbers = np.arange(first, first + rows, dtype=np.float64)
    classes = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], COUNTS))
    return Table(np.stack([numbers, np.sin(numbers), 5 - numbers], 1), np.resize(classes, rows))


def regression(rows: int) -> Table:
    x = np.random.default_rng(2).normal(3, 2, (rows, 4))
    x[:, 0] = np.arange(rows)
    return Table(x, x[:, 1:3] * 2)


def classes(train: Table, **others: Table) -> Splits:
    return Splits(train, **others, class_names=("a", "b", "c"))


def prepare(
    splits: Splits, seed: int = 0, *, final: bool = False, dtype: str = "float64", **rules: Any
) -> Data:
    options: dict[str, Any] = {"validation": 0, "test": 0, **rules}
    return load_data(Given(splits, **options), Path("nowhere"), dtype, Streams(seed), final=final)


def rows(part: Table | None) -> list[int]:
    """The numbers of the rows of a part, in order."""
    assert part is not None
    return part.x[:, 0].astype(int).tolist()


# --- sizes of the parts ------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["random", "stratified", "last"])
@pytest.mark.parametrize(
    ("validation", "test", "sizes"),
    [
        (0.2, 0.2, (60, 20, 20)),  # both are fractions of 100 rows
        (0.25, 0.1, (65, 25, 10)),
        (7, 13, (80, 7, 13)),
        (0.5, 0.49, (1, 50, 49)),
        (1, 1, (98, 1, 1)),
        (0.2, 0, (80, 20, 0)),
    ],
)
def test_held_out_parts_have_the_requested_sizes(
    split: str, validation: float, test: float, sizes: tuple[int, int, int]
) -> None:
    options = {"validation": validation, "test": test, "split": split}
    data = prepare(classes(table(100)), **options)
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == sizes[:2]
    assert data.test is None  # only a final run has the test part
    if test:
        final = prepare(classes(table(100)), final=True, **options)
        assert final.test is not None
        assert (len(final.train), len(final.test)) == (sizes[0] + sizes[1], sizes[2])
        assert final.validation is None


@pytest.mark.parametrize("split", ["random", "stratified", "last"])
def test_parts_are_disjoint_and_complete_and_rows_keep_their_targets(split: str) -> None:
    whole = table(100)
    data = prepare(classes(whole), validation=0.2, test=0.3, split=split)
    final = prepare(classes(whole), validation=0.2, test=0.3, split=split, final=True)
    all_rows = [*rows(data.train), *rows(data.validation), *rows(final.test)]
    assert sorted(all_rows) == list(range(100))
    for part in (data.train, data.validation, final.train, final.test):
        assert part is not None
        assert rows(part) == sorted(rows(part))  # in their original order
        np.testing.assert_array_equal(part.x, whole.x[rows(part)])
        np.testing.assert_array_equal(part.y, whole.y[rows(part)])


@pytest.mark.parametrize("split", ["random", "stratified", "last"])
def test_final_trains_on_train_and_validation_in_their_order(split: str) -> None:
    data = prepare(classes(table(100)), validation=0.2, test=0.3, split=split)
    final = prepare(classes(table(100)), validation=0.2, test=0.3, split=split, final=True)
    assert rows(final.train) == sorted([*rows(data.train), *rows(data.validation)])


def test_the_parts_of_a_data_set_are_kept() -> None:
    splits = classes(table(50), validation=table(20, 50), test=table(30, 70))
    data = prepare(splits, validation=0.5, test=0.5)
    assert (rows(data.train), rows(data.validation)) == (list(range(50)), list(range(50, 70)))
    final = prepare(splits, validation=0.5, test=0.5, final=True)
    assert (rows(final.train), rows(final.test)) == (list(range(70)), list(range(70, 100)))


def test_last_holds_out_the_last_rows_with_the_test_part_at_the_end() -> None:
    data = prepare(classes(table(100)), validation=0.2, test=0.3, split="last")
    final = prepare(classes(table(100)), validation=0.2, test=0.3, split="last", final=True)
    assert rows(data.train) == list(range(50))
    assert rows(data.validation) == list(range(50, 70))
    assert rows(final.test) == list(range(70, 100))


# --- which rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("held", [1, 2, 3, 10, 0.2, 0.37, 0.5, 99])
def test_stratified_parts_have_every_class_in_proportion(held: float) -> None:
    for seed in range(5):
        data = prepare(classes(table(100)), seed, validation=held, split="stratified")
        assert data.validation is not None
        n = len(data.validation)
        counts = np.bincount(data.validation.y, minlength=3)
        assert counts.sum() == n
        assert (np.abs(counts - np.array(COUNTS) * n / 100) < 1).all()


def test_both_stratified_parts_have_every_class_in_proportion() -> None:
    data = prepare(classes(table(100)), validation=0.2, test=0.3, split="stratified")
    final = prepare(classes(table(100)), validation=0.2, test=0.3, split="stratified", final=True)
    for part in (data.train, data.validation, final.train, final.test):
        assert part is not None
        counts = np.bincount(part.y, minlength=3)
        assert (np.abs(counts - np.array(COUNTS) * len(part) / 100) <= 1).all()


def test_a_random_split_draws_every_row_with_equal_probability() -> None:
    drawn = np.zeros(100)
    for seed in range(300):
        drawn[rows(prepare(classes(table(100)), seed, validation=0.2, split="random").validation)] += 1
    # the count of each row is binomial (300, 0.2): mean 60, deviation 6.9
    assert 60 - 5 * 6.9 < drawn.min() <= drawn.max() < 60 + 5 * 6.9


def test_stratified_splits_a_regression_at_random() -> None:
    data = prepare(Splits(regression(100)), validation=0.2, split="stratified")
    assert len(data.train) == 80
    assert rows(data.validation) != list(range(80, 100))
    assert data.train.y.shape == (80, 2)


def multilabel(rows: int, dtype: Any = np.int64) -> Splits:
    x = np.random.default_rng(2).normal(3, 2, (rows, 4))
    x[:, 0] = np.arange(rows)
    return Splits(Table(x, (x[:, 1:] > 3).astype(dtype)), class_names=("a", "b", "c"))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("split", ["random", "stratified", "last"])
def test_rows_of_several_classes_keep_their_classes(split: str, dtype: Any) -> None:
    splits = multilabel(100, dtype)
    assert (splits.task, splits.n_outputs, splits.shapes.task) == ("multilabel", 3, "multilabel")
    data = prepare(splits, validation=0.2, test=10, split=split, dtype="float32")
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (70, 20)
    for part in (data.train, data.validation):
        assert part.y.dtype == np.float32
        assert part.y.flags.c_contiguous
        np.testing.assert_array_equal(part.y, splits.train.y[rows(part)])
    final = prepare(splits, validation=0.2, test=10, split=split, final=True)
    assert final.test is not None
    assert sorted(rows(final.train) + rows(final.test)) == list(range(100))


@pytest.mark.parametrize("missing", ["error", "drop", "impute", "indicate"])
def test_rows_without_a_target_are_left_out_with_a_note(missing: str) -> None:
    splits = multilabel(50, np.float64)
    splits.train.y[10, 1] = np.nan
    data = prepare(splits, missing=missing)
    assert rows(data.train) == [*range(10), *range(11, 50)]
    assert data.splits.notes == ("1 rows without a target are left out",)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[0, 1, 2]] * 3, "targets of several classes a row are 0 or 1, not 2"),
        ([[0, 1, 0.5]] * 3, "targets of several classes a row are 0 or 1, not 0.5"),
        ([[0, 1, np.inf]] * 3, "targets of several classes a row are 0 or 1, not inf"),
        ([[0, 1]] * 3, r"targets of 3 classes are 0 or 1 for each class, not int64 of shape \(3, 2\)"),
        ([["0", "1", "0"]] * 3, r"targets of 3 classes are 0 or 1 for each class, not <U1 of shape"),
    ],
)
def test_targets_of_several_classes_are_0_and_1(y: Any, message: str) -> None:
    for splits in (
        classes(Table(np.zeros((3, 2)), np.array(y))),
        classes(Table(np.zeros((1, 2)), np.array([[1, 0, 1]])), test=Table(np.zeros((3, 2)), np.array(y))),
    ):
        with pytest.raises(UsageError, match=f"dataset=given: the {message}"):
            prepare(splits)


@pytest.mark.parametrize("split", ["random", "stratified"])
def test_the_seed_determines_which_rows_are_held_out(split: str) -> None:
    def held(seed: int, **rules: Any) -> list[int]:
        return rows(prepare(classes(table(100)), seed, validation=0.2, split=split, **rules).validation)

    assert held(5) == held(5) == held(5, dtype="float32", scaling="none")
    assert held(5) != held(6)


@needs_mnist
def test_mnist_s_first_55_000_images_train_and_its_last_5_000_validate() -> None:
    folder = data_dir()
    assert folder is not None
    mnist = registries["dataset"].create("mnist", mirrors=[])
    # load the files only once, because unpacking takes a second
    splits = mnist.load(DataContext(folder, np.random.default_rng(0)))
    rules = asdict(mnist.shared)
    data = prepare(splits, dtype="float32", **rules)
    assert data.validation is not None
    assert (data.train.x.shape, data.validation.x.shape) == ((55_000, 784), (5_000, 784))
    np.testing.assert_array_equal(data.train.x, splits.train.x[:55_000])
    np.testing.assert_array_equal(data.validation.x, splits.train.x[55_000:])
    np.testing.assert_array_equal(data.validation.y, splits.train.y[55_000:])
    final = prepare(splits, dtype="float32", final=True, **rules)
    assert final.test is not None
    np.testing.assert_array_equal(final.train.y, splits.train.y)
    assert final.test.x.shape == (10_000, 784)


# --- standardization ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("final", [False, True])
def test_the_training_part_alone_determines_the_standardization(dtype: str, final: bool) -> None:
    whole = table(100)
    data = prepare(
        classes(whole), dtype=dtype, final=final, validation=0.2, test=0.2, split="last", scaling="standard"
    )
    last = 80 if final else 60
    held, held_rows = (data.test, slice(80, 100)) if final else (data.validation, slice(60, 80))
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    assert data.train.x.dtype == dtype
    np.testing.assert_allclose(data.train.x.mean(0, np.float64), 0, atol=tolerance)
    np.testing.assert_allclose(data.train.x.std(0, np.float64), 1, atol=tolerance)
    assert held is not None
    mean, deviation = whole.x[:last].mean(0), whole.x[:last].std(0)
    np.testing.assert_allclose(
        held.x, (whole.x[held_rows] - mean) / deviation, rtol=20 * tolerance, atol=tolerance
    )
    assert (held.x[:, 0] > 1).all()  # held-out values are larger than all training values
    np.testing.assert_allclose(data.encoder.scaling.shift, mean, rtol=1e-14)
    np.testing.assert_allclose(data.encoder.scaling.scale, deviation, rtol=1e-14)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e30, 1e-30, 12345.678])
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_a_constant_feature_stays_finite(constant: float, source: type) -> None:
    whole = table(100)
    x = whole.x.astype(source)
    x[:, 1] = constant
    data = prepare(classes(Table(x, whole.y)), validation=0.2, scaling="standard", dtype="float32")
    column = data.train.x[:, 1]
    assert (column == column[0]).all()
    assert abs(column[0]) <= 1e-12 * abs(constant)  # 0, except for the rounding of the mean
    assert np.isfinite(data.train.x).all()
    assert data.encoder.scaling.scale is not None
    assert (data.encoder.scaling.scale > 0).all()


def test_without_standardization_the_inputs_are_unchanged() -> None:
    data = prepare(classes(table(100)), validation=0.2, split="last")
    assert data.encoder.scaling.shift is data.encoder.scaling.scale is None
    np.testing.assert_array_equal(data.train.x, table(100).x[:80])


def test_the_data_set_s_own_arrays_are_not_changed() -> None:
    whole = table(100)
    prepare(classes(whole), validation=0.2, scaling="standard")
    np.testing.assert_array_equal(whole.x, table(100).x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_are_contiguous_and_have_the_dtype_of_the_run(dtype: str) -> None:
    strided = Table(np.asfortranarray(table(100).x), table(100).y.astype(np.uint8))
    data = prepare(classes(strided), dtype=dtype, validation=0.2)
    values = prepare(Splits(regression(50)), dtype=dtype, validation=0.2)
    for part in (data.train, data.validation, values.train, values.validation):
        assert part is not None
        assert part.x.flags.c_contiguous
        assert part.x.dtype == dtype
        assert part.y.flags.c_contiguous
        assert part.y.dtype == (np.intp if part.y.ndim == 1 else dtype)


# --- categories and missing values -------------------------------------------------------------------


def test_categories_are_not_standardized() -> None:
    numbers, codes = table(100).x[:, 0], np.arange(100) % 4
    x = np.stack([codes == 2, numbers, codes], 1).astype(float)
    splits = Splits(Table(x, table(100).y), class_names=("a", "b", "c"), categorical=(0, 2))
    data = prepare(splits, validation=0.2, split="last", scaling="standard")
    np.testing.assert_array_equal(data.train.x[:, [0, 2]], x[:80, [0, 2]])
    assert data.validation is not None
    np.testing.assert_array_equal(data.validation.x[:, [0, 2]], x[80:, [0, 2]])
    np.testing.assert_allclose(data.train.x[:, 1].std(), 1)


def gappy(rows: int, every: int) -> Table:
    """``table(rows)`` in which every ``every``-th row, from the first on, lacks the second feature."""
    whole = table(rows)
    x = whole.x.copy()
    x[::every, 1] = np.nan
    return Table(x, whole.y, np.arange(1.0, rows + 1))


@pytest.mark.parametrize("scaling", ["none", "standard"])
def test_a_missing_value_becomes_the_mean_of_the_training_part(scaling: str) -> None:
    whole = gappy(100, 7)
    whole.x[99, 1] = 1e6  # a held-out row, which must not change the mean
    mean = np.nanmean(whole.x[:80, 1])  # weights count in the loss only
    assert abs(mean) < 1
    options = {"validation": 0.2, "split": "last", "missing": "impute", "scaling": scaling}
    data = prepare(classes(whole), **options)
    shift, scale = (
        (data.encoder.scaling.shift, data.encoder.scaling.scale)
        if scaling == "standard"
        else (np.zeros(3), np.ones(3))
    )
    assert data.encoder.scaling.fill is not None
    assert data.validation is not None
    assert shift is not None
    np.testing.assert_allclose(data.encoder.scaling.fill[1], mean, rtol=1e-13)
    raw = np.concatenate([data.train.x, data.validation.x]) * scale + shift
    np.testing.assert_allclose(raw[::7, 1], mean, rtol=1e-12)
    present = ~np.isnan(whole.x)
    np.testing.assert_allclose(raw[present], whole.x[present], rtol=1e-12, atol=1e-12)
    if scaling == "standard":
        # scaling divides by the deviation of the training rows after imputing
        np.testing.assert_allclose(data.train.x.std(0), 1)


def test_a_final_run_imputes_means_of_training_and_validation_rows() -> None:
    whole = gappy(100, 7)
    rules = {"validation": 0.2, "test": 0.3, "split": "last", "missing": "impute"}
    for final, rows in ((False, 50), (True, 70)):
        data = prepare(classes(whole), final=final, **rules)
        assert data.encoder.scaling.fill is not None
        np.testing.assert_allclose(data.encoder.scaling.fill[1], np.nanmean(whole.x[:rows, 1]), rtol=1e-12)


def test_a_feature_may_lack_all_values_in_held_out_rows_but_not_in_training_rows() -> None:
    held = gappy(20, 1)
    splits = classes(table(50), validation=held)
    data = prepare(splits, missing="impute")
    assert data.validation is not None
    np.testing.assert_allclose(data.validation.x[:, 1], table(50).x[:, 1].mean(), rtol=1e-13)
    message = "dataset=given: column input 1 has no value in the training part, so its mean cannot be imputed"
    with pytest.raises(UsageError, match=message):
        prepare(classes(held), missing="impute")


def test_rows_that_lack_values_are_dropped_with_their_targets_and_weights() -> None:
    whole = gappy(100, 7)
    complete = [row for row in range(100) if row % 7]
    data = prepare(classes(whole), missing="drop")
    assert rows(data.train) == complete
    np.testing.assert_array_equal(data.train.y, whole.y[complete])
    assert whole.weights is not None
    assert data.train.weights is not None
    np.testing.assert_allclose(data.train.weights, whole.weights[complete] / whole.weights[complete].mean())
    assert data.encoder.scaling.fill is None
    values = regression(50)
    values.y[10, 1] = np.nan
    assert rows(prepare(Splits(values), missing="drop").train) == [*range(10), *range(11, 50)]
    held = prepare(classes(table(50), validation=gappy(20, 7)), missing="drop").validation
    assert rows(held) == [row for row in range(20) if row % 7]


def test_without_missing_values_dropping_and_imputing_change_nothing() -> None:
    for scaling in ("none", "standard"):
        options = {"validation": 0.2, "scaling": scaling}
        expected = prepare(classes(table(100)), **options)
        for missing in ("drop", "impute"):
            data = prepare(classes(table(100)), missing=missing, **options)
            np.testing.assert_array_equal(data.train.x, expected.train.x)


def test_missing_values_are_an_error_that_names_the_features_and_how_many() -> None:
    named = Splits(gappy(100, 7), class_names=("a", "b", "c"), feature_names=("age", "size", "price"))
    with pytest.raises(UsageError, match=r"missing values, counted by column: size \(15\)\n.*missing=drop"):
        prepare(named)
    wide = Splits(Table(np.full((5, 12), np.nan), np.zeros((5, 1))))
    with pytest.raises(UsageError, match=r"input 0 \(5\), .*, input 9 \(5\), …\n"):
        prepare(wide)
    with pytest.raises(UsageError, match="every row of the train part has missing values"):
        prepare(wide, missing="drop")
    endless = regression(50)
    endless.x[3, 3] = np.inf
    for how in ("error", "drop", "impute"):
        with pytest.raises(UsageError, match="dataset=given has infinite values"):
            prepare(Splits(endless), missing=how)


def test_numbers_whose_sum_overflows_are_not_missing() -> None:
    x = np.full((10, 2), 3e38, np.float32)
    data = prepare(Splits(Table(x, np.zeros((10, 1)))), dtype="float32")
    np.testing.assert_array_equal(data.train.x, x)


# --- mapped files, which may be larger than the memory -----------------------------------------------


@pytest.fixture
def mapped(tmp_path: Path) -> Table:
    """The rows of ``table(100)`` as float32, mapped from a file."""
    np.save(tmp_path / "x.npy", table(100).x.astype(np.float32))
    return Table(np.load(tmp_path / "x.npy", mmap_mode="r"), table(100).y)


def test_a_mapped_file_stays_mapped_and_its_memory_can_be_released(mapped: Table) -> None:
    data = prepare(classes(mapped), dtype="float32", validation=0.2, test=0.1, split="last")
    assert data.validation is not None
    assert (rows(data.train), rows(data.validation)) == (list(range(70)), list(range(70, 90)))
    for part in (data.train, data.validation):
        assert part.mapping is mapped.mapping is not None
        before = np.array(part.x)
        part.release()
        np.testing.assert_array_equal(part.x, before)
    assert table(100).mapping is None
    table(100).release()  # does nothing, because a table in memory is not mapped from a file


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"scaling": "standard"}, "dataset=given does not fit into memory"),
        ({"dtype": "float64"}, "dataset=given does not fit into memory"),
        ({"split": "random"}, "dataset.split=random would copy a mapped file"),
        ({"split": "stratified"}, "dataset.split=stratified would copy a mapped file"),
        ({"missing": "impute"}, "dataset=given is mapped from a file and is not searched for missing"),
        ({"missing": "drop"}, "dataset=given is mapped from a file and is not searched for missing"),
    ],
)
def test_a_mapped_file_is_not_copied_into_memory(mapped: Table, rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(classes(mapped), **{"dtype": "float32", "validation": 0.2, "split": "last", **rules})


def test_rows_in_memory_are_shuffled_all_at_once() -> None:
    order = shuffled(table(1000), np.random.default_rng(0))
    np.testing.assert_array_equal(order, np.random.default_rng(0).permutation(1000))


@pytest.mark.parametrize("n", [1, 1000, 299 * 1024, 299 * 1024 + 5])
def test_every_row_of_a_mapped_file_comes_once(tmp_path: Path, n: int) -> None:
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, 256))  # takes no room on the disk
    order = shuffled(Table(x, np.zeros(n)), np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_rows_of_a_mapped_file_are_shuffled_a_bounded_part_at_a_time(tmp_path: Path) -> None:
    block, n = CHUNK_BYTES // 1024, 300 * 1024  # rows of 1 KiB, and a whole number of chunks
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, 256))
    order = shuffled(Table(x, np.zeros(n)), np.random.default_rng(0))
    at_once = SHUFFLE_BYTES // 1024
    assert at_once < n / 2
    for start in range(0, n, at_once):
        part = order[start : start + at_once]
        assert len(np.unique(part // block)) == len(part) / block  # all rows of every chunk in it
        distance = np.abs(np.diff(part))
        assert np.median(distance) > n / 10  # its chunks come from everywhere in the file
        assert np.mean(distance < block) < 0.1  # rows of different chunks are mixed
    again, other = (shuffled(Table(x, np.zeros(n)), np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(order, again)
    assert (order != other).mean() > 0.9


def test_a_file_of_three_gigabytes_is_trained_with_less_than_one_resident(tmp_path: Path) -> None:
    rows = 3_000_000_000 // 4096
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (rows, 1024))  # takes no room on the disk
    np.save(tmp_path / "y.npy", np.arange(rows) % 10)
    options = ["dataset=npy", f"data_dir={tmp_path}", "dataset.x=x.npy", "dataset.y=y.npy", "epochs=1"]
    small = ["model.hidden=[8]", "batch_size=256", "tracking=none", "callbacks.progress=null"]
    program = (
        "import sys; from pathlib import Path; from mlpframe.cli import run; status = run(sys.argv[1:]);"
        "print(status, *[x for x in Path('/proc/self/status').read_text().split('\\n') if 'VmHWM' in x])"
    )
    ended = run_python(tmp_path, "-c", program, *options, *small)
    assert ended.returncode == 0, ended.stderr
    status, _, kilobytes, _ = ended.stdout.split()
    assert status == "0"
    assert 50e6 < int(kilobytes) * 1024 < 1e9


# --- refused data and options ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"validation": 100}, "dataset.validation would hold out 100 of 100 rows; expected 1 to 99"),
        (
            {"validation": 0.6, "test": 0.4},
            "dataset.validation would hold out 60 of 60 rows; expected 1 to 59",
        ),
        ({"test": 5000}, "dataset.test would hold out 5000 of 100 rows"),
        ({"final": True}, "final=true needs a test part, and dataset=given has none: set dataset.test"),
    ],
)
def test_impossible_parts_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(classes(table(100)), **rules)


def test_a_fraction_holds_out_at_least_one_row() -> None:
    data = prepare(classes(table(3)), validation=0.01, test=0.01, split="last")
    assert data.validation is not None
    assert (len(data.train), len(data.validation)) == (1, 1)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"validation": -0.1}, "validation must be at least 0, not -0.1"),
        ({"test": 1.5}, "test must be a fraction below 1 or a number of rows, not 1.5"),
        ({"test": float("nan")}, "test must be at least 0, not nan"),
        ({"split": "first"}, "split must be one of stratified, random, last, group, time, not 'first'"),
        ({"missing": "ignore"}, "missing must be one of error, drop, impute, indicate, not 'ignore'"),
    ],
)
def test_options_out_of_range_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"dataset 'iris': {message}"):
        registries["dataset"].create("iris", **rules)


def part(x: Any, y: Any) -> Table:
    return Table(np.asarray(x, float), np.asarray(y))


@pytest.mark.parametrize(
    "splits",
    [
        classes(part(np.zeros((3, 2)), [0, 1, 3])),  # a class without a name
        classes(part(np.zeros((3, 2)), [0, 1, -1])),
        classes(part(np.zeros((3, 2)), [0, 1])),  # a row without a target
        classes(part(np.zeros((3, 2)), [[0], [1], [2]])),  # class numbers in a column
        classes(part(np.zeros(3), [0, 1, 2])),
        classes(part(np.zeros((3, 2)), [0, 1, 2]), test=part(np.zeros((1, 2)), [7])),
        Splits(part(np.zeros((3, 2)), [0.0, 1.0, 2.0])),  # regression targets that are no table
    ],
)
def test_wrong_tables_are_refused(splits: Splits) -> None:
    with pytest.raises(UsageError, match="dataset=given: "):
        prepare(splits)


# --- the data folder, and descriptions ---------------------------------------------------------------


def test_the_data_folder_is_the_setting_then_the_environment_variable_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPFRAME_DATA", str(tmp_path / "by environment"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_folder(str(tmp_path / "configured")) == tmp_path / "configured"
    assert data_folder("~/configured") == tmp_path / "configured"
    assert data_folder(None) == tmp_path / "by environment"
    monkeypatch.delenv("MLPFRAME_DATA")
    assert data_folder(None).is_relative_to(tmp_path)
    assert data_folder(None).name == "mlpframe"


def test_a_digest_changes_with_the_data() -> None:
    whole = table(100)
    same, other = table(100), table(100)
    other.x[50, 2] += 1e-9
    assert digest(whole) == digest(same)
    turned = Table(np.ascontiguousarray(whole.x.T), whole.y)
    less = Table(whole.x[:99], whole.y[:99])
    labels = Table(whole.x, np.roll(whole.y, 1))
    assert len({digest(variant) for variant in (whole, other, turned, less, labels)}) == 5


def test_a_description_covers_every_part() -> None:
    data = prepare(classes(table(100)), validation=0.2, test=0.3, split="last", dtype="float32")
    train, validation = data_parts(data)
    assert (train.context, train.rows) == ("train", 50)
    assert (validation.context, validation.rows) == ("validation", 20)
    assert train.digest == digest(data.train) != validation.digest
    assert (train.name, train.features, train.outputs) == ("given", 3, 3)
    assert (train.task, train.dtype) == ("classification", "float32")
    assert data_parts(prepare(Splits(regression(10))))[0].outputs == 2
