"""``python -m benchmarks kills``: kill runs at random moments, continue them, and compare every bit."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click

from .writing import Table, write

SYNTH = ("dataset=synth", "dataset.num_train=1080", "dataset.num_val=200")
COMMON = ("threads=1", "callbacks.progress=null", "seed=5")
LAYERS = "[{name:linear,units:20},batch_norm,relu,{name:dropout,rate:0.2},linear]"
CONFIGURATIONS: dict[str, Sequence[str]] = {
    "adam, cosine": (*SYNTH, "batch_size=8", "epochs=200", "optimizer=adam", "schedule=cosine"),
    "engine online, loss_ratio": (
        *SYNTH,
        "batch_size=1",
        "epochs=40",
        "engine=online",
        "schedule=loss_ratio",
    ),
    "engine fused, plateau": (*SYNTH, "batch_size=8", "epochs=200", "engine=fused", "schedule=plateau"),
    "engine scalar": (*SYNTH, "batch_size=8", "epochs=12", "engine=scalar", "model.hidden=[6]"),
    "lbfgs": (*SYNTH, "batch_size=1080", "epochs=150", "optimizer=lbfgs"),
    "transforms": (
        "dataset=digits",
        "epochs=60",
        "optimizer=momentum",
        "transforms.shift={}",
        "transforms.rotate={}",
        "transforms.noise={}",
        "transforms.mixup={}",
    ),
    "ema, early_stopping": (
        *SYNTH,
        "batch_size=8",
        "epochs=200",
        "optimizer=ema",
        "callbacks.early_stopping.patience=150",
    ),
    "swa, plateau": (*SYNTH, "batch_size=8", "epochs=200", "optimizer=swa", "schedule=plateau"),
    "lookahead, warmup": (*SYNTH, "batch_size=8", "epochs=200", "optimizer=lookahead", "schedule=warmup"),
    "dropout, batch_norm, keep_best": (
        *SYNTH,
        "batch_size=8",
        "epochs=120",
        "model=layers",
        f"model.layers={LAYERS}",
        "callbacks.keep_best={}",
    ),
    "stack of seeds": (*SYNTH, "replicas=3", "batch_size=8", "epochs=120", "optimizer=momentum"),
    "stack of rates": (
        *SYNTH,
        "-m",
        "replicas=4",
        "lr=0.1,0.03",
        "seed=0,1",
        "batch_size=8",
        "epochs=120",
        "optimizer=adam",
        "schedule=plateau",
        "callbacks.early_stopping.patience=20",
    ),
}
"""Settings by name: engines, optimizers, averages, transforms, schedules, callbacks with state, stacks."""
MOST = 4
"""A run is killed at most so many times. Then it trains to its end."""

TRACKED = 1.3
"""A command that records the run in MLflow takes about so many times as long as one that does not."""

Rows = list[tuple[int, str, float]]


@dataclass
class Tally:
    """What came out of one configuration. Every count but the first three should be 0.

    Args:
        kills: how many processes were killed.
        continued: how many commands continued a run or a stack; the other runs had not saved anything yet.
        runs: how many runs were compared at their end; a stack has several.
        bits: how many arrays differ in a bit: weights, optimizer state, the model, random streams.
        history: how many values of ``history.csv`` differ from the uninterrupted run, times excepted.
        missing: how many points of ``history.csv`` MLflow lacks.
        duplicate: how many points MLflow has that are not, or not so often, in ``history.csv``.
        running: how many runs MLflow and the folders show as running at the end.
        errors: how many commands failed.
    """

    kills: int = 0
    continued: int = 0
    runs: int = 0
    bits: int = 0
    history: int = 0
    missing: int = 0
    duplicate: int = 0
    running: int = 0
    errors: int = 0
    messages: list[str] = field(default_factory=list)


COLUMNS = [column.name for column in fields(Tally) if column.name != "messages"]


@click.command()
@click.option("--kills", "number", default=200, show_default=True, help="How many processes to kill.")
@click.option("--seed", default=0, show_default=True, help="Decides the moments of the kills.")
def kills(number: int, seed: int) -> None:
    """Kill runs with SIGKILL at random moments, continue each, and compare it with an uninterrupted run."""
    with tempfile.TemporaryDirectory() as folder:
        tallies = kill_all(Path(folder), CONFIGURATIONS, number, seed)
    table = as_table(tallies)
    table.show()
    for name, tally in tallies.items():
        for message in tally.messages:
            click.echo(f"{name}: {message}")
    text = (
        f"{sum(tally.kills for tally in tallies.values())} processes of {len(tallies)} configurations were "
        "killed with SIGKILL at random moments,\nevery second one together with its tracking process, and "
        "continued to their ends. Each end is\ncompared with a run that nobody interrupted."
    )
    write("kills", "Killed and continued", text, [table])


def kill_all(
    folder: Path, configurations: Mapping[str, Sequence[str]], number: int, seed: int
) -> dict[str, Tally]:
    """Kill processes of all configurations in turn. Returns the tally of each configuration."""
    shares = Counter(list(configurations)[i % len(configurations)] for i in range(number))
    tallies = {}
    for name in configurations:
        place = folder / str(len(tallies))
        place.mkdir()
        tallies[name] = _Killer(place, configurations[name], random.Random(f"{seed} {name}")).kill(
            shares[name]
        )
        click.echo(f"{name}: {_counts(tallies[name])}", err=True)
    return tallies


def as_table(tallies: Mapping[str, Tally]) -> Table:
    rows = [(name, *(str(getattr(tally, column)) for column in COLUMNS)) for name, tally in tallies.items()]
    sums = [str(sum(getattr(tally, column) for tally in tallies.values())) for column in COLUMNS]
    return Table("Killed and continued", ("", *COLUMNS), [*rows, ("all", *sums)])


def _counts(tally: Tally) -> str:
    return ", ".join(f"{column} {getattr(tally, column)}" for column in COLUMNS)


class _Killer:
    """Kills and continues the runs of one configuration.

    Args:
        folder: an empty folder for the commands.
        words: the settings of the configuration.
        chance: decides when processes are killed.
    """

    def __init__(self, folder: Path, words: Sequence[str], chance: random.Random) -> None:
        self._words, self._chance = [*COMMON, *words], chance
        self._whole, self._killed = folder / "whole", folder / "killed"
        self._tally = Tally()

    def kill(self, number: int) -> Tally:
        """Kill so many processes, and compare everything that they leave with an uninterrupted run."""
        for folder in (self._whole, self._killed):
            folder.mkdir()
        began = time.monotonic()
        self._finish(self._whole, [*self._words, "tracking=none"])
        longest = TRACKED * (time.monotonic() - began)
        if self._tally.errors:
            raise click.ClickException("\n".join(self._tally.messages))
        expected = [_State.read(run) for run in _runs(_newest(self._whole))]
        while self._tally.kills < number:
            run = self._one_run(longest, min(MOST, number - self._tally.kills))
            self._compare(_runs(run), expected)
        self._look()
        return self._tally

    def _one_run(self, longest: float, most: int) -> Path:
        """Start a run or stack, kill and continue it, and train it to its end. Returns its folder."""
        before, words = _all(self._killed), self._words
        for _ in range(self._chance.randint(1, most)):
            ended = self._kill_one(words, self._chance.uniform(0, longest))
            begun = sorted(_all(self._killed) - before)
            if ended:
                return begun[-1]
            words = self._words
            if begun and _can_continue(begun[-1]):
                words = [f"resume={begun[-1]}"]
                self._tally.continued += 1
        self._finish(self._killed, words)
        return max(_all(self._killed) - before)

    def _kill_one(self, words: Sequence[str], seconds: float) -> bool:
        """Kill a command after some seconds. Returns whether the command ended before."""
        process = _start(self._killed, words)
        try:
            output = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            self._tally.kills += 1
            victims = [process.pid, *(_children(process.pid) if self._tally.kills % 2 else [])]
            for pid in victims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.communicate()
            return False
        self._check(process, words, output)
        return True

    def _finish(self, folder: Path, words: Sequence[str]) -> None:
        process = _start(folder, words)
        self._check(process, words, process.communicate()[0])

    def _check(self, process: subprocess.Popen[str], words: Sequence[str], output: str) -> None:
        if process.returncode != 0:
            self._tally.errors += 1
            self._tally.messages.append(f"{' '.join(words)}: status {process.returncode}: {output[-2000:]}")

    def _compare(self, runs: Sequence[Path], expected: Sequence[_State]) -> None:
        tally = self._tally
        if len(runs) != len(expected):
            tally.errors += 1
            return
        for run, whole in zip(runs, expected, strict=True):
            try:
                state = _State.read(run)
                stored = _stored(run)
            except (OSError, ValueError, KeyError) as error:
                tally.errors += 1
                tally.messages.append(f"{run}: {error!r}")
                continue
            tally.runs += 1
            different = [name for name in whole.arrays if state.arrays.get(name) != whole.arrays[name]]
            tally.bits += len(different)
            tally.history += len(set(state.untimed()) ^ set(whole.untimed()))
            points, written = Counter(stored), Counter(state.rows)
            tally.missing += (written - points).total()
            tally.duplicate += (points - written).total()
            if different:
                tally.messages.append(f"{run}: {', '.join(different)}")

    def _look(self) -> None:
        """Let a command look at the runs, and count those that are still shown as running."""
        shown = subprocess.run(
            [sys.executable, "-m", "mlpframe", "runs", "--all"],
            cwd=self._killed,
            capture_output=True,
            text=True,
            check=False,
        )
        self._tally.running += sum(" running " in line for line in shown.stdout.splitlines())
        client = _client(self._killed)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        found = client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000)
        self._tally.running += len(found)


@dataclass(frozen=True)
class _State:
    """The end of a run: its arrays as bytes, by name, and the rows of its history."""

    arrays: dict[str, bytes]
    rows: Rows

    @classmethod
    def read(cls, run: Path) -> _State:
        from mlpframe.training import checkpoint
        from mlpframe.training.history import History

        arrays, state = {}, {}
        for file in ("model/model.npz", "checkpoints/last.npz"):
            stored, state = checkpoint.load(run / file)
            names = [name for name in stored if not name.startswith("history/time/")]
            arrays |= {f"{file}: {name}": stored[name].tobytes() for name in names}
        for part in ("streams", "schedule", "callbacks", "updates"):
            arrays[part] = json.dumps(state[part], sort_keys=True).encode()
        return cls(arrays, list(History.read_csv(run / "history" / "history.csv").rows()))

    def untimed(self) -> Rows:
        return [row for row in self.rows if not row[1].startswith("time/")]


def _start(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mlpframe", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _children(pid: int) -> list[int]:
    """The child processes of a process: its tracking process."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _all(folder: Path) -> set[Path]:
    """The folders of the single runs and of the stacks that have a record."""
    return {
        file.parent
        for place in ("runs/*/*/run.json", "sweeps/*/*/sweep.json")
        for file in folder.glob(f"outputs/{place}")
    }


def _newest(folder: Path) -> Path:
    return max(_all(folder))


def _runs(folder: Path) -> list[Path]:
    """A run itself; the runs of a stack."""
    if (folder / "run.json").exists():
        return [folder]
    return sorted(path for path in folder.iterdir() if path.name.isdigit())


def _can_continue(folder: Path) -> bool:
    return (folder / "sweep.json").exists() or (folder / "checkpoints" / "last.npz").exists()


def _client(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'outputs' / 'mlflow.db'}")


def _stored(run: Path) -> Rows:
    """Every point of a run in MLflow; a point that was recorded twice appears twice."""
    recorded = json.loads((run / "mlflow.json").read_text())
    client = _client(next(parent for parent in run.parents if parent.name == "outputs").parent)
    names = client.get_run(recorded["run_id"]).data.metrics
    histories = (client.get_metric_history(recorded["run_id"], name) for name in names)
    return [(metric.step, metric.key, metric.value) for history in histories for metric in history]
