"""An encoder, fitted to training rows, converts columns to inputs and predictions to the user's words."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlpframe.api import ColumnRules, UsageError
from mlpframe.training.data.table import Encoder, Target

RNG = np.random.default_rng(0)


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.lognormal(3, 1, rows),
            "town": rng.choice(["Bonn", "Ulm", "Kiel"], rows),
            "sold": pd.date_range("2023-01-01", periods=rows, freq="D"),
            "new": rng.random(rows) < 0.3,
        }
    )
    frame.loc[frame.index[::7], "size"] = np.nan
    return frame


def fitted(
    frame: pd.DataFrame,
    scaling: str = "standard",
    *,
    indicate: bool = False,
    target: Target | None = None,
    **rules: Any,
) -> Encoder:
    return Encoder.fit_frame(
        frame, ColumnRules(**rules), scaling=scaling, indicate=indicate, target=target or Target()
    )


def test_numbers_have_mean_0_and_deviation_1_over_the_training_rows() -> None:
    x = fitted(table(300)).inputs(table(300))
    names = fitted(table(300)).feature_names
    for name in ("size", "sold days", "new"):
        values = x[:, names.index(name)]
        np.testing.assert_allclose([values.mean(), values.std()], [0, 1], atol=1e-12)


def test_missing_numbers_become_the_mean_of_the_known_numbers() -> None:
    frame = table(300)
    encoder = fitted(frame, scaling="none")
    size = encoder.inputs(frame)[:, 0]
    np.testing.assert_allclose(size[::7], frame["size"].mean(), rtol=1e-13)


def test_an_indicator_says_where_a_value_was_missing() -> None:
    frame = table(300)
    encoder = fitted(frame, indicate=True)
    assert encoder.feature_names[-1] == "size is missing"
    np.testing.assert_array_equal(encoder.inputs(frame)[:, -1], frame["size"].isna())


def test_robust_scaling_is_that_of_the_quartiles_smoothly_clipped() -> None:
    frame = pd.DataFrame({"a": RNG.standard_cauchy(400), "b": RNG.integers(0, 2, 400)})
    x = fitted(frame, scaling="robust").inputs(frame)
    low, middle, high = np.quantile(frame["a"], [0.25, 0.5, 0.75])
    z = (frame["a"] - middle) / (high - low)
    np.testing.assert_allclose(x[:, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-12)
    assert np.abs(x).max() < 3


def test_robust_scaling_of_a_column_with_mostly_one_value_uses_its_range() -> None:
    frame = pd.DataFrame({"a": [0.0] * 90 + [5.0] * 10})
    z = fitted(frame, scaling="robust").inputs(frame)[:, 0]
    np.testing.assert_allclose(z, np.repeat([0, 2 / np.sqrt(1 + 4 / 9)], [90, 10]))


def test_a_category_that_only_another_table_has_does_not_change_the_inputs() -> None:
    encoder, other = fitted(table(300)), table(20, seed=1)
    before = encoder.inputs(other)
    other.loc[3, "town"] = "Rom"
    after = encoder.inputs(other)
    towns = [encoder.feature_names.index(f"town={town}") for town in ("Bonn", "Kiel", "Ulm")]
    assert before.shape == after.shape
    np.testing.assert_array_equal(after[3, towns], 0)
    np.testing.assert_array_equal(np.delete(after, 3, 0), np.delete(before, 3, 0))


def test_an_unknown_category_has_the_number_after_the_last() -> None:
    encoder, other = fitted(table(300), encoding="codes"), table(20, seed=1)
    other.loc[3, "town"] = "Rom"
    assert encoder.code_names["town"] == ("Bonn", "Kiel", "Ulm")
    assert encoder.inputs(other)[3, encoder.feature_names.index("town")] == 3


def test_one_hot_inputs_and_names_belong_together() -> None:
    frame = table(300)
    encoder = fitted(frame)
    x = encoder.inputs(frame)
    for town in ("Bonn", "Kiel", "Ulm"):
        position = encoder.feature_names.index(f"town={town}")
        assert position in encoder.categorical
        np.testing.assert_array_equal(x[:, position], frame["town"] == town)
    for month in range(1, 13):
        position = encoder.feature_names.index(f"sold month={month}")
        np.testing.assert_array_equal(x[:, position], frame["sold"].dt.month == month)


def test_rare_categories_share_an_input() -> None:
    frame = pd.DataFrame({"town": list("aaabbbccd")})
    encoder = fitted(frame, max_categories=2)
    assert encoder.feature_names == ("town=a", "town=b", "town=other")
    np.testing.assert_array_equal(encoder.inputs(frame).sum(1), 1)
    np.testing.assert_array_equal(encoder.inputs(frame)[:, 2], frame["town"].isin(["c", "d"]))


def test_columns_are_found_by_name_in_any_order_and_unknown_columns_are_ignored() -> None:
    encoder, frame = fitted(table(300)), table(20, seed=1)
    shuffled = frame[["new", "sold", "size", "town"]].assign(other=1)
    np.testing.assert_array_equal(encoder.inputs(shuffled), encoder.inputs(frame))
    assert encoder.extra(shuffled) == ["other"]


def test_a_missing_column_is_an_error_with_the_nearest_name() -> None:
    encoder, frame = fitted(table(300)), table(20).rename(columns={"town": "twon"})
    with pytest.raises(UsageError, match="no column 'town', which the model needs; nearest: twon"):
        encoder.inputs(frame)


def test_a_column_that_was_left_out_need_not_be_there() -> None:
    frame = table(300).assign(row=np.arange(300), same="a")
    encoder = fitted(frame)
    np.testing.assert_array_equal(encoder.inputs(table(300)), encoder.inputs(frame))


def test_a_table_whose_columns_are_all_left_out_is_refused_with_the_reasons() -> None:
    frame = pd.DataFrame({"id": range(100), "same": 1})
    with pytest.raises(
        UsageError, match=r"no column is left .*: id looks like .*; same has one value only\."
    ):
        fitted(frame)


@pytest.mark.parametrize("scaling", ["none", "standard", "robust"])
@pytest.mark.parametrize("encoding", ["one_hot", "codes"])
@pytest.mark.parametrize("indicate", [False, True])
def test_an_encoder_from_a_file_computes_the_same_bits(scaling: str, encoding: str, indicate: bool) -> None:
    frame = table(300)
    target = Target(("price",), (), False, np.array([3.0]), np.array([2.5]))
    encoder = fitted(frame, scaling, indicate=indicate, target=target, encoding=encoding)
    arrays, about = encoder.state()
    again = Encoder.from_state(arrays, json.loads(json.dumps(about)))
    other = table(20, seed=1)
    assert again.inputs(other).tobytes() == encoder.inputs(other).tobytes()
    assert again.feature_names == encoder.feature_names
    assert again.code_names == encoder.code_names
    y = RNG.standard_normal((5, 1))
    assert again.target.unscaled(y).tobytes() == encoder.target.unscaled(y).tobytes()


def test_the_order_of_the_training_rows_does_not_matter_to_categories() -> None:
    frame = table(300)
    reverse = frame.iloc[::-1]
    assert fitted(frame).columns == fitted(reverse).columns


def test_an_array_has_indicators_and_names_too() -> None:
    x = RNG.standard_normal((50, 3))
    x[::5, 1] = np.nan
    encoder = Encoder.fit_array(
        x,
        names=("a", "b", "c"),
        fixed=(),
        scaling="standard",
        fill=np.nanmean(x, 0),
        indicate=True,
        target=Target(),
    )
    assert encoder.feature_names == ("a", "b", "c", "b is missing")
    inputs = encoder.inputs(x)
    np.testing.assert_array_equal(inputs[:, 3], np.isnan(x[:, 1]))
    np.testing.assert_allclose(inputs[:, :3].mean(0), 0, atol=1e-12)


def test_the_target_is_scaled_and_unscaled() -> None:
    y = 100 + 32 * RNG.standard_normal((200, 2))
    target = Target(("a", "b"), (), False, y.mean(0), y.std(0))
    scaled = target.scaled(y)
    np.testing.assert_allclose([scaled.mean(0), scaled.std(0)], [[0, 0], [1, 1]], atol=1e-12)
    np.testing.assert_allclose(target.unscaled(scaled), y, rtol=1e-13)


def test_labels_are_in_the_users_type() -> None:
    numbers = np.array([1, 0, 1])
    assert Target(("y",), ("3", "7"), True).labels(numbers).tolist() == [7, 3, 7]
    assert Target(("y",), ("no", "yes"), False).labels(numbers).tolist() == ["yes", "no", "yes"]
