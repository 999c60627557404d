"""Compare groups of runs: means with intervals, a test for each pair, and how many runs a decision needs.

SciPy and statsmodels compute the statistics. This module chooses the test and puts the result into words.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import ceil, floor, isfinite, log10
from typing import Any

import numpy as np
from scipy import stats
from statsmodels.stats.meta_analysis import effectsize_smd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from ..api import Array

POWER = 0.8
"""The power that determines the recommended number of runs if a comparison is undecided; Cohen (1988)."""
ROUNDING = 1e-12
"""A difference smaller than this fraction of the values counts as a rounding error."""
MOST_RUNS = 10_000
"""A larger number of runs is never recommended."""


@dataclass(frozen=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float

    @property
    def radius(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Group:
    """One value of a metric for each run of a group.

    Args:
        label: the group's name in tables and sentences.
        values: the values by seed, or by another key that a run shares with its partner in another group.

    Raises:
        ValueError: there are no values, or a value is not finite.
    """

    label: str
    values: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.values or not all(isfinite(value) for value in self.values.values()):
            raise ValueError(f"group {self.label!r} needs finite values, not {dict(self.values)}")

    @property
    def array(self) -> Array:
        return np.array(list(self.values.values()))

    @property
    def mean(self) -> float:
        return float(self.array.mean())

    @property
    def median(self) -> float:
        return float(np.median(self.array))

    @property
    def std(self) -> float | None:
        """The standard deviation (with n − 1); ``None`` for a single run."""
        return float(self.array.std(ddof=1)) if len(self.values) > 1 else None

    def interval(self, level: float) -> Interval | None:
        """Student's confidence interval of the mean; ``None`` if the values have no spread."""
        if not _has_spread(self.array):
            return None
        return Interval(*map(float, stats.ttest_1samp(self.array, 0).confidence_interval(level)))


@dataclass(frozen=True)
class HypothesisTest:
    """A two-sided test: its p-value, and the p-value after Holm's correction for all pairs (Holm, 1979)."""

    name: str
    statistic: float
    p: float
    corrected: float


@dataclass(frozen=True)
class Effect:
    """A standardized difference: Cohen's d_z for paired runs, otherwise Hedges' g with its interval."""

    name: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True)
class Pair:
    """Two groups compared.

    Args:
        metric: the metric that is compared.
        a, b: the groups; a difference is a − b.
        level: the confidence level of the intervals. The test decides if its corrected p-value is at most
            1 − level.
        partners: the keys of the paired runs; empty if the runs are not paired.
        difference: the difference of the means, or the mean of the paired differences.
        interval: the confidence interval of the difference, not corrected for the number of pairs; ``None``
            if the values have no spread.
        test: the test of the means, a paired t test or Welch's; ``None`` if nothing can be tested.
        rank_test: the test that does not assume normality, Wilcoxon's signed-rank test or Mann and Whitney's.
        effect: the difference in units of the spread.
        comparisons: the number of pairs that the p-values are corrected for.
    """

    metric: str
    a: Group
    b: Group
    level: float
    partners: Sequence[str]
    difference: float
    interval: Interval | None = None
    test: HypothesisTest | None = None
    rank_test: HypothesisTest | None = None
    effect: Effect | None = None
    comparisons: int = 1

    @property
    def decided(self) -> bool:
        return self.test is not None and self.test.corrected <= 1 - self.level

    @property
    def runs_needed(self) -> int | None:
        """The number of paired runs, or of runs in each group, for a power of 0.8 at the observed effect.

        ``None`` if more than 10,000 are needed. The significance level is divided by the number of pairs of
        groups (Bonferroni's correction). This is enough for Holm's correction, which is never stricter.
        """
        if self.effect is None:
            return None
        alpha = (1 - self.level) / self.comparisons
        return runs_needed(self.effect.value, alpha, paired=bool(self.partners))

    def sentence(self) -> str:
        """The result of the comparison in words."""
        a, b, metric = self.a.label, self.b.label, self.metric
        if self.test is None:
            return self._untested()
        test = f"{self._difference()}, {self._how()}, p {_p(self.test.corrected, '= ')}"
        if self.comparisons > 1:
            test += f" after Holm's correction for {self.comparisons} comparisons"
        if self.decided:
            return f"{a} reaches a {self._direction()} {metric} than {b}: {test}."
        needed = self.runs_needed
        unit = "seeds" if self.partners else "runs per group"
        if needed is None:
            more = f"more than {MOST_RUNS:,} {unit} would be needed"
        else:
            have = len(self.partners) or min(len(self.a.values), len(self.b.values))
            number = max(1, needed - have)
            more = f"about {number:,} more {unit} would be needed"
        return (
            f"not decided: {metric} of {a} against {b}: {test}. "
            f"For a power of {POWER} at the observed difference, {more}."
        )

    def _untested(self) -> str:
        a, b, metric = self.a.label, self.b.label, self.metric
        single = [group.label for group in (self.a, self.b) if len(group.values) < 2]
        difference = number(self.difference, None, "+")
        if single:
            return (
                f"nothing can be said about {metric} of {a} against {b} ({difference}): with a single run of "
                f"{' and of '.join(single)}, the difference may be chance."
            )
        where = f"each of {len(self.partners)} pairs" if self.partners else "all runs"
        if self.difference == 0:
            return f"{a} and {b} reach the same {metric} in {where}."
        return (
            f"{a} reaches a {self._direction()} {metric} than {b} by the same {difference} in {where}; "
            "a test needs runs that differ."
        )

    def _direction(self) -> str:
        return "higher" if self.difference > 0 else "lower"

    def _difference(self) -> str:
        return with_interval(self.difference, self.interval, "+")

    def _how(self) -> str:
        pairs = len(self.partners)
        if not pairs:
            return f"unpaired, {len(self.a.values)} against {len(self.b.values)} runs"
        alone = [(len(group.values) - pairs, group.label) for group in (self.a, self.b)]
        left_out = ", ".join(f"{n} of {label}" for n, label in alone if n)
        return f"paired over {pairs} seeds" + (f" (without partner: {left_out})" if left_out else "")


@dataclass(frozen=True)
class Comparison:
    """Groups compared by one metric, every group with every other."""

    metric: str
    level: float
    groups: Sequence[Group]
    pairs: Sequence[Pair]

    def sentences(self) -> list[str]:
        return [pair.sentence() for pair in self.pairs]

    def group_rows(self) -> list[dict[str, Any]]:
        """The numbers of each group. A number that does not exist is ``None``."""
        rows = []
        for group in self.groups:
            low, high = _bounds(group.interval(self.level))
            row = {"metric": self.metric, "group": group.label, "runs": len(group.values)}
            row |= {"mean": group.mean, "std": group.std, "median": group.median, "low": low, "high": high}
            rows.append(row)
        return rows

    def pair_rows(self) -> list[dict[str, Any]]:
        """The numbers of each pair. A number that does not exist is ``None``."""
        rows = []
        for pair in self.pairs:
            row: dict[str, Any] = {"metric": self.metric, "a": pair.a.label, "b": pair.b.label}
            row |= {"pairs": len(pair.partners), "difference": pair.difference}
            row["low"], row["high"] = _bounds(pair.interval)
            for name, test in (("test", pair.test), ("rank test", pair.rank_test)):
                row[name] = test and test.name
                row[f"{name} statistic"] = test and test.statistic
                row[f"{name} p"] = test and test.p
                row[f"{name} p corrected"] = test and test.corrected
            row["effect"] = pair.effect and pair.effect.name
            row["effect size"] = pair.effect and pair.effect.value
            row["effect low"], row["effect high"] = _bounds(pair.effect.interval if pair.effect else None)
            row["decided"] = pair.decided
            row["runs needed"] = None if pair.decided else pair.runs_needed
            row["sentence"] = pair.sentence()
            rows.append(row)
        return rows

    def group_cells(self) -> list[dict[str, str]]:
        """The table of the groups, as text."""
        rows = []
        intervals = [group.interval(self.level) for group in self.groups]
        spread = min((interval.radius for interval in intervals if interval), default=None)
        for group, interval in zip(self.groups, intervals, strict=True):
            rows.append(
                {
                    "group": group.label,
                    "runs": str(len(group.values)),
                    "mean": number(group.mean, spread),
                    "std": "" if group.std is None else number(group.std, spread),
                    "median": number(group.median, spread),
                    f"{100 * self.level:g} % interval of the mean": interval_text(interval, spread),
                }
            )
        return rows

    def pair_cells(self) -> list[dict[str, str]]:
        """The table of the pairs, as text."""
        rows = []
        for pair in self.pairs:
            effect = pair.effect
            size = "" if effect is None else with_interval(effect.value, effect.interval, spread=0.2)
            rows.append(
                {
                    "pair": f"{pair.a.label} − {pair.b.label}",
                    "difference": pair._difference(),
                    "test": "" if pair.test is None else pair.test.name,
                    "p": "" if pair.test is None else _p(pair.test.corrected),
                    "rank test p": "" if pair.rank_test is None else _p(pair.rank_test.corrected),
                    "effect size": "" if effect is None else f"{effect.name} {size}",
                }
            )
        return rows


def compare(metric: str, groups: Sequence[Group], level: float = 0.95) -> Comparison:
    """Compare every group with every other group.

    Runs are paired by their keys if at least half of the larger group, and at least two runs, have a
    partner. Holm's method corrects the p-values for the number of pairs of this metric.

    Args:
        metric: the name of the metric, for the text.
        groups: at least one group.
        level: the confidence level, between 0 and 1.
    """
    pairs = [_compare_pair(metric, a, b, level) for a, b in combinations(groups, 2)]
    for field in ("test", "rank_test"):
        tested = [(i, getattr(pair, field)) for i, pair in enumerate(pairs) if getattr(pair, field)]
        if len(tested) > 1:
            corrected = multipletests([test.p for _, test in tested], method="holm")[1]
            for (i, test), p in zip(tested, corrected, strict=True):
                changes: dict[str, Any] = {field: replace(test, corrected=float(p))}
                pairs[i] = replace(pairs[i], comparisons=len(tested), **changes)
    return Comparison(metric, level, tuple(groups), tuple(pairs))


def runs_needed(effect: float, alpha: float, *, paired: bool) -> int | None:
    """The number of paired runs, or of runs in each of two equal groups, that gives a power of 0.8.

    ``None`` if more than 10,000 are needed.

    Args:
        effect: Cohen's d_z for paired runs, otherwise Hedges' g.
        alpha: the significance level of the two-sided t test.
        paired: whether the runs are paired.
    """
    if abs(effect) < 0.01:  # an effect of 0.01 needs 78,000 paired runs at a level of 0.05
        return None
    size = min(abs(effect), 5.0)  # the solver fails for larger effects; 5 needs only three runs
    if paired:
        needed = TTestPower().solve_power(effect_size=size, alpha=alpha, power=POWER)
    else:
        needed = TTestIndPower().solve_power(effect_size=size, alpha=alpha, power=POWER)
    runs = ceil(float(needed))
    return runs if runs <= MOST_RUNS else None


def _compare_pair(metric: str, a: Group, b: Group, level: float) -> Pair:
    shared = [key for key in a.values if key in b.values]
    if len(shared) >= 2 and 2 * len(shared) >= max(len(a.values), len(b.values)):
        return _compare_paired(metric, a, b, level, shared)
    x, y = a.array, b.array
    plain = Pair(metric, a, b, level, (), _cleared(a.mean - b.mean, x, y))
    if min(len(x), len(y)) < 2 or not (_has_spread(x) or _has_spread(y)):
        return plain
    with warnings.catch_warnings():
        # SciPy warns if one of the groups has no spread, but Welch's test is valid with spread in the other.
        warnings.simplefilter("ignore", RuntimeWarning)
        welch = stats.ttest_ind(x, y, equal_var=False)
        interval = welch.confidence_interval(level)
    ranks = stats.mannwhitneyu(x, y)
    g, variance = effectsize_smd(a.mean, a.std, len(x), b.mean, b.std, len(y))
    around = stats.norm.interval(level, g, variance**0.5)
    return replace(
        plain,
        interval=Interval(*map(float, interval)),
        test=_test("Welch's t", welch),
        rank_test=_test("Mann-Whitney", ranks),
        effect=Effect("g", float(g), Interval(*map(float, around))),
    )


def _compare_paired(metric: str, a: Group, b: Group, level: float, shared: Sequence[str]) -> Pair:
    x = np.array([a.values[key] for key in shared])
    y = np.array([b.values[key] for key in shared])
    difference = x - y
    plain = Pair(metric, a, b, level, tuple(shared), _cleared(float(difference.mean()), x, y))
    if not _has_spread(difference, np.concatenate([x, y])):
        return plain
    student = stats.ttest_rel(x, y)
    return replace(
        plain,
        interval=Interval(*map(float, student.confidence_interval(level))),
        test=_test("paired t", student),
        rank_test=_test("Wilcoxon", stats.wilcoxon(x, y)),
        effect=Effect("d_z", float(difference.mean() / difference.std(ddof=1))),
    )


def _test(name: str, result: Any) -> HypothesisTest:
    return HypothesisTest(name, float(result.statistic), float(result.pvalue), float(result.pvalue))


def _has_spread(values: Array, beside: Array | None = None) -> bool:
    """Whether values differ by more than rounding errors.

    If ``values`` are differences, ``beside`` holds the values before subtraction. Rounding errors are then
    relative to the size of ``beside``.
    """
    size = np.abs(values if beside is None else beside).max()
    return len(values) > 1 and bool(np.ptp(values) > ROUNDING * size)


def _cleared(difference: float, x: Array, y: Array) -> float:
    """The difference, or 0 if it is only a rounding error."""
    return difference if abs(difference) > ROUNDING * np.abs(np.concatenate([x, y])).max() else 0.0


def _bounds(interval: Interval | None) -> tuple[float | None, float | None]:
    return (interval.low, interval.high) if interval else (None, None)


def number(value: float, spread: float | None, sign: str = "") -> str:
    """The number as text, with decimals enough that rounding changes less than a twentieth of ``spread``."""
    if spread is None or not 1e-6 < spread < 1e6:
        return f"{value:{sign}.6g}"
    return f"{value:{sign}z.{max(0, 1 - floor(log10(spread / 2)))}f}"


def interval_text(interval: Interval | None, spread: float | None = None) -> str:
    """``[low, high]``, or an empty text if there is no interval."""
    if interval is None:
        return ""
    low, high = (number(bound, spread or interval.radius) for bound in (interval.low, interval.high))
    return f"[{low}, {high}]"


def with_interval(
    value: float, interval: Interval | None, sign: str = "", spread: float | None = None
) -> str:
    """``value [low, high]``, with the decimals of the interval."""
    known = spread or (interval.radius if interval else None)
    return f"{number(value, known, sign)} {interval_text(interval, spread)}".rstrip()


def _p(p: float, equals: str = "") -> str:
    return "< 0.001" if p < 0.001 else f"{equals}{p:.3f}"
