"""Writes the page ``docs/tables.md``: the results of both halves of the tables, and the conclusions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import rankdata

from ..writing import Table, machine
from .catalog import CATALOG, HALVES, MOST_ROWS, SPLITS, Entry, Half
from .contenders import BOOSTING, DEFAULT, MLP, PRESET
from .contest import Result
from .store import Key, select

PAGE = Path("docs/tables.md")
TOLERANCE = 0.1
"""How many standard deviations (over the splits) the default may be worse than scikit-learn's MLP."""
WANTED = 0.8
"""The requirement: the default keeps within ``TOLERANCE`` on at least this share of the tables."""
TITLES: Mapping[Half, str] = {"choose": "The half for choosing", "report": "The half for reporting"}


@dataclass(frozen=True)
class Score:
    """A contender on a table: mean and standard deviation over the splits, and how many splits diverged.

    For a single split the deviation is NaN.
    """

    task: str
    mean: float
    deviation: float
    diverged: int

    @property
    def badness(self) -> float:
        """A number for ranking, less is better: the error, or minus the accuracy; infinite if it diverged."""
        if self.diverged:
            return math.inf
        return -self.mean if self.task == "classification" else self.mean

    def __str__(self) -> str:
        if self.diverged:
            return "diverged"
        classified = self.task == "classification"
        mean = f"{100 * self.mean:.1f}" if classified else f"{self.mean:.4g}"
        if math.isnan(self.deviation):
            return mean
        return f"{mean} ± {100 * self.deviation:.1f}" if classified else f"{mean} ± {self.deviation:.2g}"


@dataclass(frozen=True)
class Row:
    """A table of data, and the contenders' scores on the splits for which all contenders have results."""

    entry: Entry
    splits: Sequence[int]
    rows: int
    columns: int
    scores: Mapping[str, Score]

    def ranks(self) -> dict[str, float]:
        """The contenders' ranks: 1 for the best mean. Equal contenders share the mean of their ranks."""
        ranks = rankdata([score.badness for score in self.scores.values()])
        return dict(zip(self.scores, map(float, ranks), strict=True))

    def close(self, contender: str, to: str) -> bool:
        """Whether a contender is worse than another by at most 0.1 of the other's standard deviation."""
        other = self.scores[to]
        slack = 0.0 if math.isnan(other.deviation) else TOLERANCE * other.deviation
        return self.scores[contender].badness <= other.badness + slack


def summarize(results: Mapping[Key, Result], half: Half, contenders: Sequence[str]) -> list[Row]:
    """Rows for the tables of a half on which all contenders have results for at least one common split."""
    rows = []
    for entry in CATALOG:
        found = {name: select(results, entry.name, name) for name in contenders}
        common = set.intersection(*({result.split for result in of} for of in found.values()))
        if HALVES[entry.name] == half and common:
            first = next(iter(found.values()))[0]
            scores = {name: score(entry, [r for r in of if r.split in common]) for name, of in found.items()}
            rows.append(Row(entry, sorted(common), first.rows, first.columns, scores))
    return rows


def score(entry: Entry, results: Sequence[Result]) -> Score:
    values = [result.score for result in results if result.score is not None]
    if len(values) < len(results):
        return Score(entry.task, math.nan, math.nan, len(results) - len(values))
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return Score(entry.task, statistics.mean(values), deviation, 0)


def tabulate(title: str, rows: Sequence[Row], contenders: Sequence[str]) -> Table:
    """A page's table: one line for each table of data, and a last line with the contenders' mean ranks."""
    headings = ["table", "from", "rows", "columns", "splits", *contenders, "diverged"]
    if DEFAULT in contenders:
        headings.append("within 0.1 sd")
    lines = []
    for row in rows:
        entry = row.entry
        best = min(score.badness for score in row.scores.values())
        cells = [f"**{score}**" if score.badness == best else str(score) for score in row.scores.values()]
        diverged = ", ".join(f"{name} {s.diverged}" for name, s in row.scores.items() if s.diverged)
        line = [
            f"{entry.name} ({entry.task})",
            entry.package,
            f"{row.rows:,}",
            f"{row.columns:,}",
            str(len(row.splits)),
            *cells,
            diverged or "none",
        ]
        if DEFAULT in contenders:
            line.append("yes" if row.close(DEFAULT, MLP) else "no")
        lines.append(line)
    means = [f"{mean_rank(rows, name):.2f}" for name in contenders]
    lines.append(["mean rank", "", "", "", "", *means, *[""] * (len(headings) - 5 - len(means))])
    return Table(title, headings, lines)


def mean_rank(rows: Sequence[Row], contender: str) -> float:
    return statistics.mean(row.ranks()[contender] for row in rows)


def verdicts(rows: Sequence[Row], contenders: Sequence[str]) -> str:
    """Whether mlpframe meets its requirements: a Markdown list with an item for each requirement."""
    found = []
    if DEFAULT in contenders:
        lost = [row.entry.name for row in rows if row.scores[DEFAULT].diverged]
        found.append(f"The bare command diverges on {_names(lost)}.")
        worse = [row.entry.name for row in rows if not row.close(DEFAULT, MLP)]
        share = 1 - len(worse) / len(rows)
        found.append(
            f"On {len(rows) - len(worse)} of {len(rows)} tables ({share:.0%}; wanted: {WANTED:.0%}) the bare "
            f"command is not worse than {MLP} by more than {TOLERANCE} of the standard deviation over the "
            f"splits. It is worse on {_names(worse)}."
        )
    if PRESET in contenders:
        own, other = mean_rank(rows, PRESET), mean_rank(rows, BOOSTING)
        behind = [r.entry.name for r in rows if r.scores[PRESET].badness > r.scores[BOOSTING].badness]
        compared = f"falls short by {own - other:.2f}" if own > other else f"leads by {other - own:.2f}"
        found.append(
            f"The mean rank of {PRESET} is {own:.2f} and that of {BOOSTING} {other:.2f} (1 is the best): the "
            f"preset {compared}. It is behind on {_names(behind)}."
        )
    return "\n".join(f"- {verdict}" for verdict in found)


def render(results: Mapping[Key, Result], contenders: Sequence[str]) -> str:
    """The whole page, in Markdown."""
    halves = {half: summarize(results, half, contenders) for half in TITLES}
    measured = {row.entry.name for rows in halves.values() for row in rows}
    missing = [entry.name for entry in CATALOG if entry.name not in measured]
    partly = [r.entry.name for rows in halves.values() for r in rows if len(r.splits) < len(SPLITS)]
    parts = ["# Tables", _introduction()]
    if missing:
        parts.append(f"Not yet measured: {_names(missing)}.")
    if partly:
        parts.append(
            f"Not yet measured on all {len(SPLITS)} splits, so that the figures are preliminary (the column "
            f'"splits" counts): {_names(partly)}.'
        )
    for half, rows in halves.items():
        if rows:
            table = tabulate(TITLES[half], rows, contenders).markdown()
            parts += [f"## {TITLES[half]}", verdicts(rows, contenders), table]
    if measured:
        parts += ["## Both halves", verdicts([row for rows in halves.values() for row in rows], contenders)]
    parts.append(f"Measured by `python -m benchmarks tables` on {machine()}.")
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction() -> str:
    counts = {half: sum(of == half for of in HALVES.values()) for half in TITLES}
    generated = sum(entry.generated for entry in CATALOG)
    return f"""\
How good are mlpframe's defaults on tables of data? This page compares them with scikit-learn on
{len(CATALOG)} tables. {len(CATALOG) - generated} hold real data, from the package in the column "from".
{generated} tables are generated, for extreme cases that the real tables do not cover. At most
{MOST_ROWS:,} rows of a table are used.

The list of the tables and its division into two halves were committed before the first measurement. All
choices (defaults, the preset `{PRESET}`) were made on the half for choosing, {counts["choose"]} tables.
The other half, {counts["report"]} tables, shows how good the choices are on tables that were not used to
choose. There is one exception. Fewer than 50 validation rows do not choose the best epoch
(`keep_best.min_rows`). This rule was made because of the tables longley and 2,000 columns, but after first
results of both halves had been seen.

Every contender gets the same {len(SPLITS)} splits into 80 % training and 20 % test rows. A classification
shows the accuracy in percent (more is better), a regression the root mean squared error (less is better):
the mean ± the standard deviation over the splits. The best mean is bold. The mean ranks are among all
contenders. "within 0.1 sd" says whether the default's mean is worse than that of scikit-learn's MLP by
at most {TOLERANCE} of the standard deviation of scikit-learn's scores over the splits. A single split has
no standard deviation; then the default must not be worse at all.

- **{DEFAULT}**: mlpframe's command with only the options for the file and the target. The command holds out
  some training rows for validation and does not train on them; scikit-learn trains on all training rows.
- **{PRESET}**: the preset for tables, with the same two options.
- **{MLP}**: MLPClassifier or MLPRegressor on its defaults. Medians replace missing numbers; numbers, and
  the target of a regression, are standardized; categories are one-hot.
- **{BOOSTING}**: HistGradientBoostingClassifier or HistGradientBoostingRegressor on its defaults, with
  categories and missing values as they are."""


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
