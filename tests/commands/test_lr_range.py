"""The command ``lr-range``: the learning rate range test."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf, nan
from pathlib import Path

import numpy as np
import pytest

from mlpframe.commands.lr_range import Curve, Growth
from mlpframe.registry import UsageError
from mlpframe.runs.compose import compose
from tests.forking import ask
from tests.running import ROOT, environment, mlpframe

Done = subprocess.CompletedProcess[str]
DIVERGES = ("seed=3", "--from", "1e-4", "--to", "100", "--steps", "300")
"""Arguments with which the test reaches learning rates so high that the loss diverges."""


def table(folder: Path) -> dict[str, list[float]]:
    with (folder / "lr_range.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in ("step", "lr", "loss", "smoothed")}


def rates(done: Done) -> list[float]:
    """The suggested learning rates in the output."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("lr=")]
    return [float(line.removeprefix("lr=").split()[0]) for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranges")


@pytest.fixture(scope="module")
def done(folder: Path) -> dict[str, Done]:
    """Run the commands of this module, two at a time, because most of the time is the start of Python."""
    commands: dict[str, tuple[str, ...]] = {
        "first": (*DIVERGES, "--out", "first"),
        "again": (*DIVERGES, "--out", "again"),
        "another seed": (*DIVERGES, "seed=4", "--out", "another"),
        "default": ("--steps", "60"),
        "too high": ("--from", "1e20", "--to", "1e30", "--steps", "50", "--out", "high"),
    }
    wrong: dict[str, tuple[str, ...]] = {
        "a sweep": ("lr=0.1,0.2", "--out", "wrong"),
        "a key": ("optimzer=adam", "--out", "wrong"),
        "a value": ("optimizer=adam", "optimizer.beta1=2", "--out", "wrong"),
        "a name": ("schedule=cosin", "--out", "wrong"),
        "resume": ("resume=auto", "--out", "wrong"),
        "backwards": ("--from", "1", "--to", "0.1", "--out", "wrong"),
        "no number": ("--steps", "many", "--out", "wrong"),
        "an option": ("--epochs", "3", "--out", "wrong"),
    }

    def run(arguments: tuple[str, ...]) -> Done:
        return mlpframe(folder, "lr-range", *arguments)

    refused = ask([(folder, ("lr-range", *arguments)) for arguments in wrong.values()], environment())
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(commands, pool.map(run, commands.values()), strict=True))
    return {**done, **dict(zip(wrong, refused, strict=True))}


# --- the results -------------------------------------------------------------------------------------


def test_lr_range_writes_a_table_and_a_picture(folder: Path, done: dict[str, Done]) -> None:
    assert done["first"].returncode == 0, done["first"].stderr
    assert sorted(path.name for path in (folder / "first").iterdir()) == ["lr_range.csv", "lr_range.png"]
    assert (folder / "first" / "lr_range.png").read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.usefixtures("done")
def test_the_learning_rate_grows_by_a_constant_ratio(folder: Path) -> None:
    columns = table(folder / "first")
    n = len(columns["lr"])
    assert columns["step"] == list(range(1, n + 1))
    np.testing.assert_allclose(columns["lr"], np.geomspace(1e-4, 100, 300)[:n], rtol=1e-12)


@pytest.mark.usefixtures("done")
def test_the_mean_is_exponential_and_corrected_for_its_beginning(folder: Path) -> None:
    columns = table(folder / "first")
    for n, mean in enumerate(columns["smoothed"], 1):
        weights = 0.95 ** np.arange(n)[::-1]
        assert mean == pytest.approx(np.average(columns["loss"][:n], weights=weights), rel=1e-9)


def test_lr_range_stops_when_the_loss_is_four_times_the_lowest_loss(
    folder: Path, done: dict[str, Done]
) -> None:
    means = np.array(table(folder / "first")["smoothed"])
    assert len(means) < 300
    lowest = np.minimum.accumulate(means)
    assert (means[:-1] <= 4 * lowest[:-1]).all()
    assert means[-1] > 4 * lowest[-1]
    assert "stopped: the smoothed loss was more than 4 times its lowest value at lr " in done["first"].stdout


def test_the_suggested_learning_rates_train(folder: Path, done: dict[str, Done]) -> None:
    """Both suggested rates are below the rate of the lowest loss. SGD learns the digits with 0.01 to 1."""
    columns = table(folder / "first")
    lowest = columns["lr"][int(np.argmin(columns["smoothed"]))]
    steepest, tenth = rates(done["first"])
    for rate in (steepest, tenth):
        assert 1e-4 < rate < lowest < columns["lr"][-1]
        assert 0.01 <= rate <= 1
    assert tenth == pytest.approx(lowest / 10, rel=0.05)  # the output is rounded to two digits


@pytest.mark.usefixtures("done")
def test_the_first_loss_is_the_loss_of_the_untrained_network(folder: Path) -> None:
    """The ten classes are equally likely at first, so the cross entropy is about log 10."""
    assert table(folder / "first")["loss"][0] == pytest.approx(np.log(10), abs=0.7)


def test_the_seed_determines_all_results(folder: Path, done: dict[str, Done]) -> None:
    first, again, another = (folder / name / "lr_range.csv" for name in ("first", "again", "another"))
    assert first.read_bytes() == again.read_bytes()
    assert rates(done["first"]) == rates(done["again"])
    assert first.read_bytes() != another.read_bytes()


def test_lr_range_writes_only_below_outputs_and_records_nothing(folder: Path, done: dict[str, Done]) -> None:
    assert done["default"].returncode == 0, done["default"].stderr
    (results,) = folder.glob("outputs/lr_range/*/*")
    assert len(table(results)["lr"]) == 60
    assert table(results)["lr"][0] == 1e-5
    assert f"files   {results.relative_to(folder)}" in done["default"].stdout
    assert [path.name for path in (folder / "outputs").iterdir()] == ["lr_range"]


def test_too_high_rates_stop_early_and_give_no_suggestion(folder: Path, done: dict[str, Done]) -> None:
    process = done["too high"]
    assert process.returncode == 0, process.stderr
    assert "stopped: the loss" in process.stdout
    assert "no rate is suggested" in process.stdout
    assert np.isfinite(table(folder / "high")["loss"]).all()


# --- wrong requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a sweep", "lr=0.1,0.2: expected one experiment, not several"),
        ("a key", "there is no key 'optimzer'; nearest: optimizer"),
        ("a value", "optimizer 'adam': beta1 must be at least 0 and less than 1, not 2.0"),
        ("a name", "schedule=cosin: there is no schedule 'cosin'; nearest: cosine"),
        ("resume", "resume=auto: the range test starts from new weights"),
        ("backwards", "--from 1 --to 0.1: expected 0 < --from < --to < infinity"),
        ("no number", "lr-range: Invalid value for '--steps': 'many' is not a valid integer range."),
        ("an option", "lr-range: No such option"),
    ],
)
def test_a_wrong_request_is_answered_in_one_line(
    folder: Path, done: dict[str, Done], name: str, message: str
) -> None:
    assert done[name].returncode == 2
    assert done[name].stdout == ""
    assert done[name].stderr.count("\n") == 1
    assert done[name].stderr.startswith(message)
    assert not (folder / "wrong").exists()


# --- the curve ---------------------------------------------------------------------------------------


def curve_of(loss: Callable[[float], float], steps: int = 601, smoothing: float = 0.9) -> Curve:
    """The curve of losses that are a function of log₁₀ of the learning rate, from -5 to 1."""
    curve = Curve(smoothing, 4.0)
    growth = Growth(1e-5, 10, steps)
    for rate in growth.factors(0, steps, steps):
        curve.add(rate, loss(float(np.log10(rate))))
        if curve.stopped:
            break
    return curve


def test_the_suggestions_are_the_steepest_fall_and_the_lowest_loss() -> None:
    """The loss falls most steeply at a rate of 10⁻³ and rises above 1. The smoothed loss lags 9 updates."""
    curve = curve_of(lambda x: 2 - np.tanh(3 * (x + 3)) + 4 * max(x, 0.0) ** 2)
    suggested = list(curve.suggest().values())
    behind = 9 * 6 / 600  # 9 updates in powers of ten: 600 updates cover six
    assert np.log10(suggested[0]) == pytest.approx(-3 + behind, abs=0.02)
    assert -1.1 < np.log10(suggested[1]) < -1 + behind + 0.05


def test_a_loss_that_only_rises_gives_no_suggestion() -> None:
    curve = curve_of(lambda x: 10.0**x)
    assert curve.suggest() == {}
    assert curve.notes({})[-1].startswith("no rate is suggested")


def test_a_loss_that_still_falls_at_the_end_is_reported() -> None:
    curve = curve_of(lambda x: -x)
    suggested = curve.suggest()
    assert curve.stopped is None
    assert curve.notes(suggested) == ["the smoothed loss was lowest at the end: try a larger --to"]


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_loss_that_is_not_finite_ends_the_curve_and_is_left_out(bad: float) -> None:
    curve = Curve(0.9, 4.0)
    curve.add(0.1, 1.0)
    curve.add(0.2, bad)
    assert curve.stopped == f"the loss became {bad} at lr 0.2"
    assert (curve.rates, curve.losses, curve.means) == ([0.1], [1.0], [1.0])


def test_negative_losses_end_the_curve_only_after_a_rise() -> None:
    curve = Curve(0.0, 4.0)
    for loss in (-1.0, -2.0, -1.5, 3.9):
        curve.add(0.1, loss)
        assert curve.stopped is None
    curve.add(0.1, 4.1)  # more than (4 − 1) · |−2| above the lowest loss
    assert curve.stopped is not None


# --- the configuration -------------------------------------------------------------------------------


def test_compose_adds_entries_to_open_dictionaries() -> None:
    config = compose(["optimizer=adam", "callbacks.early_stopping.patience=3", "tags.who=me", "epochs=2"])
    assert (config.optimizer.name, config.epochs, config.tags.who) == ("adam", 2, "me")
    assert config.callbacks.early_stopping.patience == 3
    assert "hydra" not in config
    assert compose([]).optimizer.name == "sgd"  # each call starts from the defaults


def test_compose_refuses_several_experiments() -> None:
    for several in ("seed=range(0,3)", "optimizer=sgd,adam", "replicas=4"):
        with pytest.raises(UsageError, match="expected one experiment, not several"):
            compose([several])


def test_compose_finds_the_presets_of_the_package() -> None:
    presets = sorted(path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml"))
    assert presets
    for preset in presets:
        assert compose([f"experiment={preset}"]).dataset.name
