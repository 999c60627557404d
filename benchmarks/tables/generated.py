"""Generated tables for extreme cases that no table from a package covers."""

from __future__ import annotations

import numpy as np
import pandas as pd


def imbalance() -> pd.DataFrame:
    """A classification in which one row in a hundred has the rare class."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5_000, 10))
    signal = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(scale=0.3, size=len(x))
    rare = signal > np.quantile(signal, 0.99)
    return _frame(x, np.where(rare, "rare", "common"))


def many_categories() -> pd.DataFrame:
    """One column has 10,000 categories. By Zipf's law, half of the rows have one of a few categories."""
    rng = np.random.default_rng(2)
    count = 10_000
    weights = 1 / np.arange(1, count + 1)
    codes = np.concatenate([rng.permutation(count), rng.choice(count, count, p=weights / weights.sum())])
    x = rng.normal(size=(len(codes), 4))
    effect = rng.normal(size=count)
    signal = x[:, 0] + effect[codes] + rng.normal(scale=0.3, size=len(codes))
    frame = _frame(x, np.where(signal > 0, "yes", "no"))
    return frame.assign(code=[f"c{code}" for code in codes])


def skewed_target() -> pd.DataFrame:
    """A regression whose target is log-normal: the target's logarithm has the standard deviation 2."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2_000, 8))
    signal = x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(scale=0.3, size=len(x))
    return _frame(x, np.exp(2 * signal / signal.std()))


def five_rows() -> pd.DataFrame:
    """A table of only five rows, with two input columns."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(5, 2))
    return _frame(x, x[:, 0] + rng.normal(scale=0.1, size=5))


def one_column() -> pd.DataFrame:
    """A table with one input column; the target is a sine of this input."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-2, 2, size=(1_000, 1))
    return _frame(x, np.sin(3 * x[:, 0]) + rng.normal(scale=0.2, size=len(x)))


def many_columns() -> pd.DataFrame:
    """300 rows of 2,000 columns, ten of which matter."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 2_000))
    signal = x[:, :10].sum(1) + rng.normal(size=len(x))
    return _frame(x, np.where(signal > 0, "yes", "no"))


def _frame(x: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=[f"x{i}" for i in range(x.shape[1])]).assign(target=target)
