"""A table like a user's own, with text, dates, missing values and identifiers, and runs on such tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tests.running import mlpframe, run_folders

N = 300


def orders() -> pd.DataFrame:
    """A table with a class to predict (``late``) and a value to predict (``price``)."""
    rng = np.random.default_rng(0)
    color = rng.choice(["red", "green", "blue"], N)
    size = rng.normal(scale=1000, size=N)
    day = pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 700, N), "D")
    score = (color == "red") * 2 + size / 1000 + day.month / 6
    frame = pd.DataFrame(
        {
            "customer_id": rng.permutation(N) + 1000,
            "color": color,
            "size": size.round(3),
            "day": day.strftime("%d.%m.%Y"),
            "paid": rng.random(N) > 0.5,
            "late": np.where(score > 2, "yes", "no"),
            "price": (200_000 + 50_000 * score).round(2),
        }
    )
    frame.loc[::7, "color"] = None
    frame.loc[::9, "size"] = np.nan
    frame.loc[::11, "day"] = None
    return frame


def train(folder: Path, *arguments: str, tracking: bool = False) -> Path:
    """Train in a folder as a user does. Returns the folder of the new run."""
    known = set(run_folders(folder))
    quiet = ["callbacks.progress=null", *([] if tracking else ["tracking=none"])]
    done = mlpframe(folder, "epochs=60", "optimizer=adam", "model.hidden=[16]", *quiet, *arguments)
    assert done.returncode == 0, done.stderr
    (new,) = set(run_folders(folder)) - known
    return new
