"""The statistics of a comparison against published examples, closed forms and simulation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest

from mlpframe.analysis.comparison import Comparison, Group, Pair, compare, runs_needed

pytestmark = pytest.mark.filterwarnings("error")

# Student (1908): hours of sleep gained by ten patients with each of two drugs
DRUG_1 = (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0)
DRUG_2 = (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4)
# Darwin (1876), in Fisher (1935), section 17: heights of maize, crossed minus self-fertilized, in 1/8 inch
MAIZE = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)


def group(label: str, values: Sequence[float], first: int = 0) -> Group:
    """Values by the seeds ``first``, ``first`` + 1, …"""
    return Group(label, {str(first + i): float(value) for i, value in enumerate(values)})


def one_pair(a: Sequence[float], b: Sequence[float], *, paired: bool, level: float = 0.95) -> Pair:
    (pair,) = compare("m", [group("a", a), group("b", b, 0 if paired else 1000)], level).pairs
    return pair


def everything(comparison: Comparison) -> str:
    """All text that a comparison can give."""
    rows = [
        comparison.group_rows(),
        comparison.pair_rows(),
        comparison.group_cells(),
        comparison.pair_cells(),
    ]
    return f"{comparison.sentences()} {rows}"


# --- tests and intervals -----------------------------------------------------------------------------


def test_the_paired_t_test_of_students_sleep_data_agrees_with_r() -> None:
    # R 4.3: t.test(extra ~ group, data = sleep, paired = TRUE)
    pair = one_pair(DRUG_1, DRUG_2, paired=True)
    assert pair.test is not None
    assert pair.interval is not None
    assert pair.effect is not None
    assert pair.test.name == "paired t"
    assert pair.test.statistic == pytest.approx(-4.0621, abs=5e-5)
    assert pair.test.p == pytest.approx(0.002833, abs=5e-7)
    assert pair.difference == pytest.approx(-1.58)
    assert (pair.interval.low, pair.interval.high) == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)
    assert pair.effect.name == "d_z"
    assert pair.effect.value == pytest.approx(-4.0621277 / sqrt(10), abs=1e-7)  # d_z = t / √n
    assert pair.decided


def test_welch_and_mann_whitney_of_students_sleep_data_agree_with_r() -> None:
    # R 4.3: t.test(extra ~ group, data = sleep); wilcox.test(extra ~ group, data = sleep, exact = FALSE)
    pair = one_pair(DRUG_1, DRUG_2, paired=False)
    assert pair.test is not None
    assert pair.rank_test is not None
    assert pair.interval is not None
    assert pair.test.name == "Welch's t"
    assert pair.test.statistic == pytest.approx(-1.8608, abs=5e-5)
    assert pair.test.p == pytest.approx(0.07939, abs=5e-6)
    assert (pair.interval.low, pair.interval.high) == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert pair.rank_test.name == "Mann-Whitney"
    assert pair.rank_test.statistic == 25.5
    assert pair.rank_test.p == pytest.approx(0.06933, abs=5e-6)
    assert not pair.decided


def test_paired_t_and_signed_rank_of_darwins_maize_agree_with_published_numbers() -> None:
    # Fisher: t = 2.148, mean 20.93; SciPy's manual: signed-rank statistic 24, p = 0.041259765625 (exact)
    pair = one_pair(MAIZE, [0.0] * 15, paired=True)
    assert pair.test is not None
    assert pair.rank_test is not None
    assert pair.difference == pytest.approx(20.93, abs=0.005)
    assert pair.test.statistic == pytest.approx(2.148, abs=5e-4)
    assert pair.rank_test.name == "Wilcoxon"
    assert pair.rank_test.statistic == 24
    assert pair.rank_test.p == pytest.approx(0.041259765625, rel=1e-12)


def test_mann_whitney_of_few_values_is_exact() -> None:
    # SciPy's manual: ages at the diagnosis of diabetes; U = 17, p = 0.1111
    pair = one_pair((19, 22, 16, 29, 24), (20, 11, 17, 12), paired=False)
    assert pair.rank_test is not None
    assert pair.rank_test.statistic == 17
    assert pair.rank_test.p == pytest.approx(1 / 9, rel=1e-12)


def test_hedges_g_agrees_with_a_published_example() -> None:
    # Borenstein et al. (2009), p. 27: 103 ± 5.5 and 100 ± 4.5, 50 each: g = 0.5924, variance 0.0411
    shape = np.linspace(-1, 1, 50)
    shape /= shape.std(ddof=1)
    effect = one_pair(list(103 + 5.5 * shape), list(100 + 4.5 * shape), paired=False).effect
    assert effect is not None
    assert effect.interval is not None
    assert effect.name == "g"
    assert effect.value == pytest.approx(0.5924, abs=5e-4)
    assert effect.interval.radius == pytest.approx(1.96 * sqrt(0.0411), rel=0.02)


def test_students_interval_of_two_values_equals_its_closed_form() -> None:
    # with one degree of freedom Student's distribution is Cauchy's: the quantile 0.975 is tan(0.475 π)
    interval = group("a", (0, 1)).interval(0.95)
    assert interval is not None
    assert interval.radius == pytest.approx(0.5 * np.tan(0.475 * np.pi))
    assert interval.low + interval.radius == pytest.approx(0.5)


def test_a_group_has_its_mean_median_and_standard_deviation() -> None:
    values = group("a", (2, 4, 4, 4, 5, 5, 7, 9))  # sum of squares about the mean: 32
    assert (values.mean, values.median, values.std) == (5, 4.5, pytest.approx(sqrt(32 / 7)))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_share_of_intervals_that_cover_the_true_value_is_the_level(level: float) -> None:
    rng = np.random.default_rng(0)
    samples = 500
    covered = np.zeros(3)
    for _ in range(samples):
        common = rng.normal(0, 5, 5)
        a, b, c = rng.normal(3, 1, 5) + common, rng.normal(1, 1, 5) + common, rng.normal(1, 4, 9)
        alone = group("a", a - common).interval(level)
        intervals = [(alone, 3.0)]
        intervals += [(one_pair(list(a), list(b), paired=True, level=level).interval, 2.0)]
        intervals += [(one_pair(list(a - common), list(c), paired=False, level=level).interval, 2.0)]
        covered += [
            interval is not None and interval.low < truth < interval.high for interval, truth in intervals
        ]
    deviation = sqrt(level * (1 - level) / samples)
    assert covered / samples == pytest.approx(level, abs=3.5 * deviation)


# --- several comparisons -----------------------------------------------------------------------------


def test_holms_correction_equals_a_calculation_by_hand() -> None:
    rng = np.random.default_rng(1)
    groups = [group(name, rng.normal(i / 2, 1, 6)) for i, name in enumerate("abcd")]
    pairs = compare("m", groups).pairs
    assert [pair.a.label + pair.b.label for pair in pairs] == ["ab", "ac", "ad", "bc", "bd", "cd"]
    for name in ("test", "rank_test"):
        tests = sorted((getattr(pair, name) for pair in pairs), key=lambda test: test.p)
        smallest = 0.0
        for i, test in enumerate(tests):
            smallest = max(smallest, min(1.0, (6 - i) * test.p))
            assert test.corrected == pytest.approx(smallest, rel=1e-12)
    assert {pair.comparisons for pair in pairs} == {6}


def test_holms_correction_can_make_a_decided_difference_undecided() -> None:
    # a and b alone have p = 0.0174; Holm's correction multiplies p by 3, which is above 0.05
    a, b, c, d = (1, 2, 3, 4, 5), (1.1, 2.5, 3.2, 4.4, 5.3), (1.2, 2.1, 2.8, 4.1, 4.9), (0.9, 2, 3.1, 4, 5.1)
    alone = compare("m", [group("a", a), group("b", b)]).pairs[0]
    among = compare("m", [group("a", a), group("b", b), group("c", c), group("d", d)]).pairs[0]
    assert alone.test is not None
    assert among.test is not None
    assert alone.test.p == among.test.p
    assert alone.decided
    assert not among.decided


# --- how many more -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("effect", "paired", "runs"),
    [  # Faul et al. (2007), G*Power 3.1, two-sided 0.05, power 0.8; Cohen (1988), table 2.4.1
        (0.2, False, 394),
        (0.5, False, 64),
        (0.8, False, 26),
        (0.2, True, 199),
        (0.5, True, 34),
        (0.8, True, 15),
    ],
)
def test_the_number_of_needed_runs_agrees_with_published_tables(
    effect: float, paired: bool, runs: int
) -> None:
    assert runs_needed(effect, 0.05, paired=paired) == runs
    assert runs_needed(-effect, 0.05, paired=paired) == runs


@pytest.mark.parametrize("paired", [False, True])
def test_larger_effects_need_fewer_runs_and_tiny_effects_have_no_number(paired: bool) -> None:
    numbers = [runs_needed(size, 0.05, paired=paired) for size in (0.0, 1e-9, 0.001, 0.1, 1, 5, 9, 1e6)]
    assert numbers[:3] == [None, None, None]
    feasible = [number for number in numbers[3:] if number is not None]
    assert len(feasible) == 5
    assert all(before >= after >= 2 for before, after in pairwise(feasible))


def test_the_advised_number_of_runs_decides_in_four_of_five_experiments() -> None:
    rng = np.random.default_rng(2)
    samples = 300
    decided = sum(
        one_pair(list(rng.normal(0.8, 1, 15)), [0.0] * 15, paired=True).decided for _ in range(samples)
    )
    power = 0.8213  # the power of 15 pairs at d = 0.8, by R's pwr.t.test(15, 0.8, type = "paired")
    assert decided / samples == pytest.approx(power, abs=3.5 * sqrt(power * (1 - power) / samples))


# --- which runs are paired ---------------------------------------------------------------------------


def test_runs_are_paired_by_seed_and_not_by_order() -> None:
    a, b = Group("a", {"0": 1.0, "1": 2.0, "2": 3.5}), Group("b", {"2": 3.0, "0": 0.6, "1": 1.7})
    (pair,) = compare("m", [a, b]).pairs
    assert list(pair.partners) == ["0", "1", "2"]
    assert pair.interval is not None
    differences = np.array([0.4, 0.3, 0.5])
    assert pair.difference == pytest.approx(0.4)
    quantile = 4.302653  # of Student's t with 2 degrees of freedom, 0.975
    assert pair.interval.radius == pytest.approx(quantile * differences.std(ddof=1) / sqrt(3), rel=1e-6)


def test_a_run_without_a_partner_is_ignored_and_named() -> None:
    (pair,) = compare("m", [group("a", (1, 2, 3, 50)), group("b", (0.6, 1.7, 2.5))]).pairs
    assert pair.difference == pytest.approx(0.4)
    assert "paired over 3 seeds (without partner: 1 of a)" in pair.sentence()


def test_runs_with_few_common_seeds_are_not_paired() -> None:
    (pair,) = compare("m", [group("a", range(10)), group("b", (2, 4, 6, 9), first=6)]).pairs
    assert pair.partners == ()
    assert "unpaired, 10 against 4 runs" in pair.sentence()


# --- in words ----------------------------------------------------------------------------------------


def test_the_conclusion_states_a_difference() -> None:
    (pair,) = compare("sleep", [group("drug 1", DRUG_1), group("drug 2", DRUG_2)]).pairs
    assert pair.sentence() == (
        "drug 1 reaches a lower sleep than drug 2: -1.58 [-2.46, -0.70], paired over 10 seeds, p = 0.003."
    )


def test_the_conclusion_states_an_open_question() -> None:
    groups = [group("drug 1", DRUG_1), group("drug 2", DRUG_2, first=100)]
    (pair,) = compare("sleep", groups).pairs
    assert pair.runs_needed == 26  # g = 0.797
    assert pair.sentence() == (
        "not decided: sleep of drug 1 against drug 2: -1.58 [-3.37, 0.21], unpaired, 10 against 10 runs, "
        "p = 0.079. For a power of 0.8 at the observed difference, about 16 more runs per group would be "
        "needed."
    )


def test_equal_means_need_more_than_10_000_seeds() -> None:
    pair = one_pair((1, 2, 3, 4), (2, 1, 4, 3), paired=True)
    assert pair.difference == 0
    assert "+0.00 [-1.84, 1.84]" in pair.sentence()
    assert "more than 10,000 seeds" in pair.sentence()


def test_the_conclusion_names_the_correction() -> None:
    # The difference between a and c is the same in every pair of runs, so only two comparisons have a test.
    groups = [group(name, np.array(DRUG_1) + shift) for name, shift in (("a", 0), ("b", 0), ("c", 9))]
    groups[1] = group("b", DRUG_2)
    sentence = compare("sleep", groups).pairs[2].sentence()
    assert sentence.startswith("b reaches a lower sleep than c: ")
    assert "p < 0.001 after Holm's correction for 2 comparisons" in sentence  # not a and c


@pytest.mark.parametrize(
    ("a", "b", "paired", "words"),
    [
        ((0.9, 0.8), (0.9, 0.8), True, "a and b reach the same m in each of 2 pairs."),
        ((0.5, 0.5), (0.5, 0.5, 0.5), False, "a and b reach the same m in all runs."),
        ((0.9, 0.7, 0.4), (0.8, 0.6, 0.3), True, "a higher m than b by the same +0.1 in each of 3 pairs"),
        ((0.1, 0.1), (0.3, 0.3), False, "a reaches a lower m than b by the same -0.2 in all runs"),
        ((0.1 + 0.2, 0.3), (0.3, 0.1 + 0.2), True, "a and b reach the same m"),  # 0.1 + 0.2 is not 0.3
        ((0.5,), (0.4, 0.3), False, "with a single run of a, the difference may be chance"),
        ((0.5,), (0.4,), True, "with a single run of a and of b, the difference may be chance"),
        ((0.5, 0.5, 0.5), (0.1, 0.2, 0.4), False, "not decided: m of a against b: +0.27 [-0.11, 0.65]"),
        ((0.0, 0.0), (0.0, 0.0), True, "the same m"),
        ((1e-9, 2e-9), (1e9, 3e9), False, "not decided"),
    ],
)
def test_values_without_spread_and_single_runs_are_described_in_words(
    a: Sequence[float], b: Sequence[float], paired: bool, words: str
) -> None:
    comparison = compare("m", [group("a", a), group("b", b, 0 if paired else 100)])
    assert words in comparison.sentences()[0]
    assert "nan" not in everything(comparison)
    assert "inf" not in everything(comparison)


def test_a_single_group_is_described() -> None:
    comparison = compare("m", [group("a", (1, 2, 3))], 0.9)
    assert comparison.pairs == ()
    (row,) = comparison.group_cells()
    assert row == {
        "group": "a",
        "runs": "3",
        "mean": "2.00",
        "std": "1.00",
        "median": "2.00",
        "90 % interval of the mean": "[0.31, 3.69]",  # 2 ± 2.920 / √3
    }


@pytest.mark.parametrize("values", [{}, {"0": float("nan")}, {"0": 1.0, "1": float("inf")}])
def test_a_group_needs_finite_values(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="'a' needs finite values"):
        Group("a", values)


def test_no_warning_is_raised() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare("m", [group("a", (1, 1, 1)), group("b", (1, 1, 2)), group("c", (3, 4, 5), 50)])
