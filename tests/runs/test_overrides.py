"""The overrides and flags of a command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlpframe.registry import UsageError
from mlpframe.runs.overrides import FLAGS, CommandLine, Override, own_overrides
from tests.running import mlpframe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=0.1", Override("", "lr", "0.1")),
        ("++lr=", Override("++", "lr", "")),
        ("+new.key=a=b", Override("+", "new.key", "a=b")),
        ("~metrics.r2", Override("~", "metrics.r2", None)),
        ("hydra/launcher=joblib", Override("", "hydra/launcher", "joblib")),
    ],
)
def test_an_override_is_read_and_written(text: str, expected: Override) -> None:
    assert Override.parse(text) == expected
    assert str(expected) == text


def test_an_override_adds_an_entry_to_an_open_dictionary() -> None:
    assert Override.parse("callbacks.early_stopping.patience=5").for_hydra().startswith("++callbacks.")
    assert Override.parse("+metrics.f1={}").for_hydra() == "+metrics.f1={}"
    assert Override.parse("optimizer.beta1=0.5").for_hydra() == "optimizer.beta1=0.5"


def test_flags_and_their_values_are_separated_from_overrides() -> None:
    line = CommandLine.parse(["lr=1", "--cfg", "job", "-m", "seed=0,1", "lr=2"])
    assert line.flags == ["--cfg", "job", "-m"]
    assert [str(override) for override in line.overrides] == ["lr=1", "seed=0,1", "lr=2"]
    assert line.last("lr") == "2"
    assert line.last("epochs") is None
    assert line.is_sweep
    assert line.only_shows


def test_an_unknown_flag_is_refused_with_the_nearest_flag() -> None:
    with pytest.raises(UsageError, match=r"no option --multrun; .* nearest: --multirun"):
        CommandLine.parse(["--multrun"])


def test_the_known_flags_are_the_flags_of_hydra(tmp_path: Path) -> None:
    shown = mlpframe(tmp_path, "--hydra-help").stdout
    listed = set(re.findall(r"^(--[a-z-]+)(?:,-\w+)? :", shown, re.MULTILINE))
    assert listed == set(FLAGS)


def test_settings_of_recording_are_separate_from_settings_of_training() -> None:
    words = ["lr=0.1", "++tracking.parent=abc", "resume=x", "++callbacks.early_stopping={}"]
    assert own_overrides(words) == ["lr=0.1", "callbacks.early_stopping={}"]
