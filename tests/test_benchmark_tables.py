"""The benchmark tables: every table is as the catalog describes it, and the scores are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from threadpoolctl import threadpool_limits

from benchmarks.tables import baselines, page, store
from benchmarks.tables.catalog import CATALOG, HALVES, MOST_ROWS, SPLITS, Entry, split
from benchmarks.tables.contest import Contender, Prediction, Result, log_loss, run

BY_NAME = {entry.name: entry for entry in CATALOG}
MODULES = {"scikit-learn": "sklearn", "generated": "sklearn"}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread: on a busy machine, the threads of small fits mostly wait for each other."""
    with threadpool_limits(1):
        yield


def test_there_are_enough_tables_of_every_kind() -> None:
    real = [entry for entry in CATALOG if not entry.generated]
    assert len(BY_NAME) == len(CATALOG) >= 24
    assert sum(entry.large for entry in real) >= 8
    assert sum(entry.categories for entry in real) >= 8
    assert sum(entry.task == "regression" for entry in real) >= 8
    assert len(CATALOG) - len(real) == 6


def test_both_halves_of_the_catalog_have_similar_tables() -> None:
    kinds = pd.DataFrame(
        [(HALVES[e.name], e.generated, e.task == "regression", e.large, e.categories) for e in CATALOG]
    )
    counts = kinds.assign(all=True).groupby(0).sum()
    assert (counts.loc["choose"] - counts.loc["report"]).abs().max() <= 2


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_a_table_is_as_the_catalog_describes_it(entry: Entry) -> None:
    if find_spec(MODULES.get(entry.package, entry.package)) is None:
        pytest.skip(f"{entry.package} is not installed")
    frame = entry.frame()
    inputs = frame.drop(columns=entry.target)
    text = inputs.select_dtypes(exclude=["number", "bool", "datetime"])
    assert (len(frame) > 5_000) == entry.large
    assert (text.shape[1] > 0) == entry.categories
    assert len(frame) <= MOST_ROWS
    assert frame[entry.target].notna().all()
    assert list(inputs.select_dtypes("datetime")) == list(entry.dates)


def test_a_split_keeps_the_shares_of_the_classes() -> None:
    iris = BY_NAME["iris"]
    frame = iris.frame()
    tests = []
    for seed in SPLITS:
        train, test = split(iris, frame.assign(row=range(len(frame))), seed)
        assert sorted([*train["row"], *test["row"]]) == list(range(150))
        assert test["target"].value_counts().to_dict() == dict.fromkeys(
            ("setosa", "versicolor", "virginica"), 10
        )
        tests.append(set(test["row"]))
    assert all(a != b for a, b in pairwise(tests))


def test_log_loss_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    classes = np.array(["a", "b", "c"])
    probabilities = rng.dirichlet(np.ones(3), 50)
    truth = rng.choice(classes, 50)
    expected = sklearn_log_loss(truth, probabilities, labels=classes)
    assert log_loss(truth, pd.DataFrame(probabilities, columns=classes)) == pytest.approx(expected)


def test_log_loss_gives_an_unknown_class_the_smallest_probability() -> None:
    certain = pd.DataFrame({"a": [1.0, 1.0]})
    assert log_loss(np.array(["a", "new"]), certain) == pytest.approx(-np.log(1e-15) / 2)


def test_a_result_whose_prediction_is_not_finite_counts_as_diverged() -> None:
    entry = BY_NAME["1 column"]

    def lost(_: pd.DataFrame, test: pd.DataFrame, *__: object) -> Prediction:
        return Prediction(np.full(len(test), np.nan))

    result = run(entry, entry.frame(), 0, "lost", lost)
    assert result.diverged
    assert page.score(entry, [result]).badness == np.inf


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("contender", [baselines.mlp, baselines.boosting])
def test_baselines_accept_whatever_a_table_has(contender: Contender) -> None:
    rng = np.random.default_rng(0)
    rows = 700
    frame = pd.DataFrame(
        {
            "number": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "flag": rng.random(rows) < 0.5,
            "date": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, rows), unit="D"),
            "few": rng.choice(np.array(["x", "y", None], object), rows),
            "many": [f"c{i // 2}" for i in range(rows)],
            "target": rng.choice(["no", "yes"], rows),
        }
    )
    frame.loc[rows - 1, "few"] = "only in the test rows"
    train, test = frame[:600], frame[600:].drop(columns="target").reset_index(drop=True)
    prediction = contender(train, test, "target", "classification", 0)
    assert prediction.probabilities is not None
    np.testing.assert_allclose(prediction.probabilities.sum(axis=1), 1)
    assert set(prediction.values) <= {"no", "yes"}


def test_results_are_read_as_written_and_the_last_of_equal_runs_counts(tmp_path) -> None:
    file = tmp_path / "results.jsonl"
    entry = BY_NAME["5 rows"]
    result = run(entry, entry.frame(), 0, "boosting", baselines.boosting)
    store.append(result, file)
    store.append(result, file)
    assert store.load(file) == {("5 rows", 0, "boosting"): result}
    assert json.loads(file.read_text().splitlines()[0])["rows"] == 5


def test_the_page_judges_by_the_means_over_the_splits() -> None:
    """A mean that is 0.09 standard deviations worse than the best is close to the best; 0.11 is not close.

    For iris, a higher score (accuracy) is better; for diabetes, a lower score (error) is better.
    """
    splits = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    for name, sign in (("iris", 1), ("diabetes", -1)):
        for behind, close in ((0.09, True), (0.11, False)):
            entry = BY_NAME[name]
            scores = {
                "own": 10 + splits[::-1] - sign * behind * splits.std(ddof=1),
                "other": 10 + splits,
            }
            row = page.Row(
                entry, range(5), 1, 1, {who: page.score(entry, _results(of)) for who, of in scores.items()}
            )
            assert row.close("own", "other") == close
            assert row.ranks() == {"own": 2, "other": 1}


def _results(scores: np.ndarray) -> list[Result]:
    return [Result("", i, "", 1, 1, 0.0, score, None) for i, score in enumerate(scores.tolist())]
