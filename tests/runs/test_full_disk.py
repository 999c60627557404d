"""A disk that fills up, or becomes read-only, ends a run in words; what was saved is intact and continues."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mlpframe.training import checkpoint
from tests.running import record
from tests.runs.test_resume import (
    COMMAND,
    SAVED_AT,
    Place,
    Places,
    assert_recorded,
    assert_same_end,
    places,
    undisturbed,
    uninterrupted,
)

__all__ = ["places", "undisturbed", "uninterrupted"]  # fixtures
pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")  # in MLflow


def mount(stack: ExitStack, *arguments: str, on: Path) -> None:
    """Mount a file system on a folder, until the stack is closed. Skips the test where it cannot."""
    try:
        done = subprocess.run(["mount", *arguments, str(on)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no command mount")
    if done.returncode:
        pytest.skip(f"mounting is not allowed: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "--lazy", str(on)], check=True)


def fill(stack: ExitStack, outputs: Path) -> None:
    """Leave no free byte on the small disk."""
    filler = outputs / "filler"
    stack.callback(filler.unlink)
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def make_read_only(stack: ExitStack, outputs: Path) -> None:
    mount(stack, "--bind", str(outputs), on=outputs)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(outputs)], check=True)


@pytest.fixture(params=[fill, make_read_only], ids=["full", "read-only"])
def stopped(request: pytest.FixtureRequest, places: Places) -> Iterator[tuple[Place, str, int]]:
    """A run whose outputs could not be written any more from a step on: what it printed, and its status."""
    break_outputs: Callable[[ExitStack, Path], None] = request.param
    place = places.make(break_outputs.__name__)
    outputs = place.folder / "outputs"
    outputs.mkdir()
    with ExitStack() as disk, ExitStack() as broken:
        mount(disk, "-t", "tmpfs", "-o", "size=4m", "tmpfs", on=outputs)
        place.start(*COMMAND)
        process = place.wait_until_held(known_to_mlflow=True)
        break_outputs(broken, outputs)
        place.let_go()
        output = process.communicate()[0]
        broken.close()
        yield place, output, process.returncode


def test_the_run_ends_in_words_and_continues_to_the_same_bits(
    stopped: tuple[Place, str, int], uninterrupted: Path
) -> None:
    from mlflow import MlflowClient

    place, output, status = stopped
    assert status == 1, output
    assert "Traceback" not in output
    (reason,) = (line for line in output.splitlines() if line.startswith("failed: "))
    assert re.search(r"(best|last)\.npz cannot be written or read: (No space left|Read-only)", reason)
    assert checkpoint.load(place.run / "checkpoints" / "last.npz")[1]["progress"]["step"] == SAVED_AT
    client: Any = MlflowClient(tracking_uri=place.environment["MLFLOW_TRACKING_URI"])
    told = client.get_run(place.run_id)
    assert (told.info.status, told.data.tags["mlpframe.status"]) == ("FAILED", "failed")

    (line,) = (line for line in output.splitlines() if line.startswith("to continue: python -m mlpframe "))
    continued = place.command(*line.removeprefix("to continue: python -m mlpframe ").split())
    assert continued.returncode == 0, continued.stderr
    assert record(place.run)["status"] == "finished"
    assert_same_end(place.run, uninterrupted)
    assert_recorded(client, place)


@pytest.mark.parametrize("break_outputs", [fill, make_read_only])
def test_a_run_does_not_start_where_it_cannot_write(
    places: Places, break_outputs: Callable[[ExitStack, Path], None]
) -> None:
    place = places.make(f"start_{break_outputs.__name__}")
    outputs = place.folder / "outputs"
    outputs.mkdir()
    with ExitStack() as disk, ExitStack() as broken:
        mount(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs", on=outputs)
        break_outputs(broken, outputs)
        ended = place.command("dataset=iris", "tracking=none")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert 1 <= len(ended.stderr.splitlines()) <= 3, ended.stderr
        assert re.search(r"(No space left on device|Read-only file system)", ended.stderr)
        broken.close()
        assert [*outputs.rglob("*")] == []
