"""The command ``predict``: a prediction for every row of a user's file, in the user's words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpframe.api import UsageError
from mlpframe.commands import dispatch
from mlpframe.runs import predicting
from mlpframe.training import Predictor
from tests.commands.tables import N, orders, train
from tests.running import mlpframe

Run = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tables and the runs ``late`` (classes), ``price`` (values), ``tags`` and ``array``."""
    folder = tmp_path_factory.mktemp("predict")
    frame = orders()
    frame.drop(columns="price").to_csv(folder / "late.csv", index=False)
    frame.drop(columns="late").to_csv(folder / "price.csv", index=False, sep=";", decimal=",")
    x = np.random.default_rng(1).normal(size=(N, 4)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", x @ np.arange(4, dtype=np.float32) + 3)
    tags = pd.DataFrame(x, columns=list("abcd"))
    tags.assign(warm=(x[:, 0] > 0) * 1, wet=(x[:, 1] > 0) * 1).to_parquet(folder / "tags.parquet")
    runs = {
        "late": ("dataset=csv", "dataset.file=late.csv"),
        "price": ("dataset=csv", "dataset.file=price.csv", "dataset.decimal=','", "dataset.separator=';'"),
        "tags": ("dataset=parquet", "dataset.file=tags.parquet", "dataset.target=[warm,wet]"),
        "array": ("dataset=npy", "dataset.x=x.npy", "dataset.y=y.npy"),
    }
    for name, arguments in runs.items():
        train(folder, *arguments).rename(folder / name)
    return folder


@pytest.fixture
def predict(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """A function that runs ``predict`` in the folder ``place`` and returns standard output and error."""
    monkeypatch.chdir(place)

    def run(*arguments: str) -> tuple[str, str]:
        assert dispatch(["predict", *arguments]) == 0
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


Predict = Callable[..., tuple[str, str]]


def test_classes_have_labels_and_probabilities_of_every_row_in_order(place: Path, predict: Predict) -> None:
    predict("late", "late.csv", "-o", "out.csv")
    table = pd.read_csv(place / "out.csv")
    assert list(table) == ["late", "p(no)", "p(yes)"]
    assert len(table) == N
    expected = Predictor(place / "late" / "model" / "model.npz").predict(pd.read_csv(place / "late.csv"))
    np.testing.assert_allclose(table[["p(no)", "p(yes)"]], expected, rtol=1e-6)
    assert (table["late"] == np.where(expected[:, 1] > 0.5, "yes", "no")).all()
    assert (table["late"] == orders()["late"]).mean() > 0.8


def test_values_are_in_the_unit_of_the_target_and_the_file_is_read_as_in_training(
    place: Path, predict: Predict
) -> None:
    one_row = orders().drop(columns=["late", "price"])[3:4]  # no number in this row has a decimal comma
    one_row.to_csv(place / "whole.csv", index=False, sep=";", decimal=",")
    out, _ = predict("price", "whole.csv")
    whole, _ = predict("price", "price.csv")
    lines = whole.splitlines()
    header, value = out.splitlines()
    assert header == lines[0] == "price"
    assert float(value) == pytest.approx(float(lines[4]), rel=1e-6)
    values = np.array(lines[1:], float)
    assert np.corrcoef(values, orders()["price"])[0, 1] > 0.8
    assert 200_000 < values.mean() < 400_000


def test_each_of_several_classes_has_zero_or_one_and_a_probability(place: Path, predict: Predict) -> None:
    predict("tags", "tags.parquet", "-o", "out.parquet")
    table, truth = pd.read_parquet(place / "out.parquet"), pd.read_parquet(place / "tags.parquet")
    assert list(table) == ["warm", "wet", "p(warm)", "p(wet)"]
    assert (table["warm"] == (table["p(warm)"] > 0.5)).all()
    assert (table[["warm", "wet"]] == truth[["warm", "wet"]]).to_numpy().mean() > 0.75


def test_a_numpy_file_gives_a_numpy_file_of_the_values(place: Path, predict: Predict) -> None:
    predict("array", "x.npy", "-o", "out.npy")
    values = np.load(place / "out.npy")
    assert values.shape == (N, 1)
    expected = Predictor(place / "array" / "model" / "model.npz").predict(np.load(place / "x.npy"))
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("run", "file", "suffix"),
    [
        ("late", "late.csv", "csv"),
        ("late", "late.csv", "parquet"),
        ("price", "price.csv", "csv.gz"),
        ("tags", "tags.parquet", "parquet"),
        ("array", "x.npy", "npy"),
        ("array", "x.npy", "csv"),
    ],
)
def test_blocks_give_what_the_whole_file_gives(
    run: str, file: str, suffix: str, place: Path, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(name: str) -> pd.DataFrame:
        predict(run, file, "-o", name)
        path = place / name
        if suffix == "npy":
            return pd.DataFrame(np.load(path))
        return pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path)

    whole = read(f"whole.{suffix}")
    monkeypatch.setattr(predicting, "CELLS", 130)  # so that about ten rows are read at a time
    blocks = read(f"blocks.{suffix}")
    assert len(blocks) == N
    pd.testing.assert_frame_equal(blocks, whole, rtol=1e-5)


def test_rows_that_cannot_be_predicted_are_empty_and_counted(place: Path, predict: Predict) -> None:
    x = np.load(place / "x.npy")
    x[1, 2] = np.nan
    np.save(place / "gaps.npy", x[:3])
    out, notes = predict("array", "gaps.npy")
    assert [bool(line.strip('"')) for line in out.splitlines()[1:]] == [True, False, True]
    assert "1 of 3 rows have missing values" in notes


def test_columns_may_come_in_any_order_and_more_of_them(place: Path, predict: Predict) -> None:
    frame = orders().drop(columns="late")
    frame[frame.columns[::-1]].assign(more=1).to_csv(place / "turned.csv", index=False)
    out, notes = predict("late", "turned.csv")
    assert out == predict("late", "late.csv")[0]
    assert notes.strip() == "left out, because the model does not know them: price, more"


def test_a_threshold_decides_which_label_a_row_has(place: Path, predict: Predict) -> None:
    predict("late", "late.csv", "-o", "out.csv", "--threshold", "0.9")
    table = pd.read_csv(place / "out.csv")
    assert (table["late"] == np.where(table["p(yes)"] > 0.9, "yes", "no")).all()
    assert 0 < (table["late"] == "yes").sum() < (table["p(yes)"] > 0.5).sum()


def test_a_file_with_no_row_gives_a_file_with_no_row(place: Path, predict: Predict) -> None:
    orders()[:0].to_csv(place / "empty.csv", index=False)
    assert predict("late", "empty.csv")[0] == "late,p(no),p(yes)\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["late", "lat.csv"], "lat.csv: there is no such file; nearest: late.csv"),
        (["late", "late.csv", "-o", "out.xlsx"], ".xlsx is not a known format"),
        (["late", "late.csv", "-o", "nowhere/out.csv"], "there is no folder nowhere"),
        (["late", "late.csv", "-o", "late.csv"], "is the file to read"),
        (["array", "late.csv"], "the model takes 4 columns without names, and the table has 6"),
        (["late", "x.npy"], "the model takes a table with the columns color, size, day, paid"),
        (["price", "price.csv", "--threshold", "0.5"], "the model predicts values"),
        (["late", "bad.csv"], "has no column 'color', which the model needs; nearest: colour"),
    ],
)
def test_mistakes_are_said_in_words_and_leave_nothing(
    arguments: list[str], words: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    orders().rename(columns={"color": "colour"}).to_csv("bad.csv", index=False)
    before = sorted(place.rglob("*"))
    with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(".", r"\.")):
        dispatch(["predict", *arguments])
    assert sorted(place.rglob("*")) == before


def test_a_mistake_in_a_later_block_leaves_the_old_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr(predicting, "CELLS", 130)
    frame = orders().astype({"size": object})
    frame.loc[200, "size"] = "large"
    frame.to_csv("late_mistake.csv", index=False)
    Path("kept.csv").write_text("what was there before")
    with pytest.raises(UsageError, match="the column size must be numbers, and has 'large'"):
        dispatch(["predict", "late", "late_mistake.csv", "-o", "kept.csv"])
    assert Path("kept.csv").read_text() == "what was there before"
    assert not list(place.glob(".*kept.csv"))


def test_the_command_line_prints_csv_and_exits_with_two_after_a_mistake(place: Path) -> None:
    done = mlpframe(place, "predict", "late", "late.csv")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == N + 1
    done = mlpframe(place, "predict", "late", "none.csv")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
