"""The command ``evaluate``: which rows it evaluates, and what it prints and writes."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpframe import registries
from mlpframe.api import UsageError
from mlpframe.commands import dispatch
from mlpframe.training import Predictor
from tests.commands.tables import N, orders, train
from tests.running import mlpframe, record

Evaluate = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs named late, final, other (with another seed), price and digits, and a sweep."""
    folder = tmp_path_factory.mktemp("evaluate")
    frame = orders()
    frame.drop(columns="price").to_csv(folder / "late.csv", index=False)
    frame.drop(columns="late").to_csv(folder / "price.csv", index=False)
    late = ("dataset=csv", "dataset.file=late.csv", "dataset.test=100")
    train(folder, *late).rename(folder / "late")
    train(folder, *late, "final=true").rename(folder / "final")
    train(folder, *late, "seed=1").rename(folder / "other")
    train(folder, "dataset=csv", "dataset.file=price.csv", "dataset.test=0").rename(folder / "price")
    train(folder, "dataset=digits", "epochs=2").rename(folder / "digits")
    sweep = ("-m", *late, "dataset.split=last", "seed=0,1,2", "epochs=10", "model.hidden=[8]")
    done = mlpframe(folder, *sweep, "tracking=none", "callbacks.progress=null")
    assert done.returncode == 0, done.stderr
    (sweep_folder,) = folder.glob("outputs/sweeps/*/*")
    sweep_folder.rename(folder / "sweep")
    return folder


@pytest.fixture
def evaluate(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    monkeypatch.chdir(place)

    def run(*arguments: str) -> tuple[str, str]:
        dispatch(["evaluate", *arguments, "--resamples", "50"])
        printed = capsys.readouterr()
        return printed.out, printed.err

    return run


def metrics(folder: Path) -> dict[str, dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row.pop("metric"): {key: float(value) for key, value in row.items()} for row in rows}


def test_the_test_part_of_a_final_run_gives_what_the_run_recorded(place: Path, evaluate: Evaluate) -> None:
    out, _ = evaluate("final")
    assert "on the 100 rows of the test part" in out
    found, recorded = metrics(place / "final" / "evaluation"), record(place / "final")["metrics"]
    assert found["accuracy"]["value"] == pytest.approx(recorded["test/accuracy"], abs=1e-6)
    assert found["accuracy"]["low"] <= found["accuracy"]["value"] <= found["accuracy"]["high"]
    files = {path.name for path in (place / "final" / "evaluation").iterdir()}
    assert files >= {"metrics.csv", "worst.csv", "importance.csv", "confusion_matrix.png", "calibration.png"}


def test_a_run_that_kept_its_test_part_is_evaluated_on_the_same_rows(place: Path, evaluate: Evaluate) -> None:
    out, err = evaluate("late", "--repeats", "0")
    assert "on the 100 rows of the test part" in out
    assert err == ""
    tested = [set(pd.read_csv(place / run / "evaluation" / "worst.csv")["row"]) for run in ("late", "final")]
    assert tested[0]
    frame = pd.read_csv(place / "late.csv")
    model = Predictor(place / "late" / "model" / "model.npz")
    wrong = model.predict_classes(frame) != (frame["late"] == "yes").astype(int)
    assert tested[0] <= set(np.flatnonzero(wrong) + 1)


def test_without_a_test_part_the_validation_part_is_named_as_such(place: Path, evaluate: Evaluate) -> None:
    out, err = evaluate("price", "--repeats", "0")
    assert "on the 30 rows of the validation part" in out
    assert "expect worse" in err
    found, recorded = metrics(place / "price" / "evaluation"), record(place / "price")["metrics"]
    assert found["rmse"]["value"] == pytest.approx(recorded["val/rmse"], rel=1e-5)
    assert (place / "price" / "evaluation" / "predicted_true.png").is_file()


def test_a_file_is_evaluated_on_its_rows_with_a_target(place: Path, evaluate: Evaluate) -> None:
    frame = orders()
    frame.loc[5, "late"] = None
    frame.to_csv(place / "new.csv", index=False)
    out, err = evaluate("late", "new.csv", "-o", "of_file")
    assert f"on the {N - 1} rows of new.csv" in out
    assert "1 rows without a target" in err
    model = Predictor(place / "late" / "model" / "model.npz")
    kept = frame.drop(index=5)
    right = model.predict_classes(kept) == (kept["late"] == "yes")
    assert metrics(place / "of_file")["accuracy"]["value"] == pytest.approx(right.mean())
    worst = pd.read_csv(place / "of_file" / "worst.csv")
    assert set(worst["row"] - 1) == set(kept.index[~right][: len(worst)]) or len(worst) == 50
    assert (worst["true late"] != worst["predicted late"]).all()
    importance = pd.read_csv(place / "of_file" / "importance.csv", index_col="input").iloc[:, 0]
    assert importance["paid"] < importance[["color", "size"]].min()


def test_the_file_that_the_run_was_trained_on_is_pointed_out(evaluate: Evaluate) -> None:
    _, err = evaluate("late", "late.csv", "-o", "own", "--repeats", "0")
    assert "late.csv is dataset.file of the run, so the run may have been trained on its rows" in err


def test_data_that_have_changed_since_are_pointed_out(place: Path, evaluate: Evaluate) -> None:
    before = (place / "late.csv").read_text()
    orders().drop(columns="price")[::-1].to_csv(place / "late.csv", index=False)
    _, err = evaluate("late", "--repeats", "0", "-o", "changed")
    (place / "late.csv").write_text(before)
    assert "the data are not those that the run was trained on" in err


def test_a_threshold_is_chosen_on_the_validation_part(evaluate: Evaluate) -> None:
    out, _ = evaluate("late", "--threshold", "f1", "--repeats", "0")
    assert "chosen for f1 on the 30 rows of the validation part" in out
    assert "f1 of yes" in out
    out, _ = evaluate("final", "--threshold", "accuracy", "--repeats", "0")
    assert "on these very rows" in out


def test_a_committee_averages_probabilities(place: Path, evaluate: Evaluate) -> None:
    out, _ = evaluate("sweep", "-o", "committee", "--repeats", "0")
    assert "committee of 3 runs on the 100 rows of the test part" in out
    frame = pd.read_csv(place / "late.csv")[-100:]
    y = (frame["late"] == "yes").astype(int).to_numpy()
    members = [Predictor(place / "sweep" / str(i) / "model" / "model.npz").predict(frame) for i in range(3)]
    log_loss = registries["metric"].create("log_loss")
    found = metrics(place / "committee")["log_loss"]
    assert found["value"] == pytest.approx(log_loss.compute(np.mean(members, 0), y), rel=1e-6)
    singles = [log_loss.compute(member, y) for member in members]
    assert found["single_mean"] == pytest.approx(np.mean(singles), rel=1e-6)
    assert found["value"] < found["single_mean"]  # the logarithm is concave (Jensen)
    again, _ = evaluate("sweep/0", "sweep/1", "sweep/2", "-o", "committee", "--repeats", "0")
    assert again == out


def test_images_get_a_confusion_matrix_and_no_importance(place: Path, evaluate: Evaluate) -> None:
    out, _ = evaluate("digits", "-o", "of_digits")
    assert "no permutation importance: the inputs are images" in out
    assert (place / "of_digits" / "confusion_matrix.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["late.csv"], "expected a RUN before the file"),
        (
            ["late", "other"],
            "so each run may have been trained on rows that the other held out",
        ),
        (["late", "price"], "the runs of a committee must predict the same"),
        (["late", "price.csv"], "price.csv has no column 'late', the target"),
        (["late", "--threshold", "f2"], "--threshold f2: "),
        (["price", "--threshold", "f1"], "the model predicts values"),
        (["digits", "--threshold", "f1"], "the model has 10 classes"),
        (["late", "strange.csv"], "'maybe' is not a class of the model; known: no, yes"),
    ],
)
def test_mistakes_are_said_in_words(
    arguments: list[str], words: str, place: Path, evaluate: Evaluate
) -> None:
    orders().replace({"late": {"yes": "maybe"}}).to_csv(place / "strange.csv", index=False)
    with pytest.raises(UsageError, match=words):
        evaluate(*arguments)
