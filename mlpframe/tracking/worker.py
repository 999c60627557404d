"""The process that calls MLflow. It reads messages, one JSON object a line, and records them.

Metrics are collected and written once a second. If the pipe closes before a run has ended, the training
process has died. The worker then records everything that has arrived, and marks the run as KILLED.
"""

from __future__ import annotations

import getpass
import json
import os
import queue
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..files import write_text
from .environment import set_defaults
from .messages import AskId, DataPart, Discard, End, Message, Metrics, ModelInterface, Start, decode
from .retry import persistently

FLUSH_SECONDS = 1.0
RETRY_SECONDS = 60.0
"""For how long the worker repeats a call that the store refuses."""
BATCH = 1000  # MLflow's limit for the metrics in one call
PARAMS = 100  # MLflow's limit for the parameters in one call
PARAM_LENGTH = 6000
PARTS = {"train": "train", "val": "validation", "test": "test"}
"""The part of the data that a metric was computed on, by the first word of the metric's name."""


class RecordedRun:
    """The MLflow run that records the run in ``folder``."""

    def __init__(self, folder: Path, start: Start) -> None:
        from filelock import FileLock
        from mlflow.entities import RunStatus

        from . import store

        self.folder = folder
        self._lock = FileLock(self.folder / "mlflow.lock")
        self._lock.acquire()  # waits, because the worker of a killed process may still be recording this run
        self.uri = start.uri
        self.client = persistently(lambda: store.client(self.uri))
        self._pending: list[tuple[str, float, int, int]] = []
        self._known: Counter[tuple[str, int]] = Counter()
        self._latest: dict[str, tuple[str, float, int, int]] = {}
        self._params = {key: str(value)[:PARAM_LENGTH] for key, value in start.params.items()}
        self._data = {part.context: part for part in start.data}
        if start.run_id is not None:
            self.id = start.run_id
            self.experiment = str(self.client.get_run(self.id).info.experiment_id)
            self._known = persistently(self._recorded)
            persistently(lambda: self.client.update_run(self.id, RunStatus.to_string(RunStatus.RUNNING)))
            self._set_tags(start.tags)
            return
        tags = {
            "mlflow.user": getpass.getuser(),
            "mlflow.source.name": "mlpframe",
            "mlflow.source.type": "LOCAL",
            **_git_tags(),
            **start.tags,
        }
        if start.parent is not None:
            tags["mlflow.parentRunId"] = start.parent
        self.experiment = persistently(lambda: store.experiment_id(self.client, self.uri, start.experiment))
        run = persistently(lambda: self.client.create_run(self.experiment, run_name=start.name, tags=tags))
        self.id = str(run.info.run_id)
        place = {"run_id": self.id, "uri": self.uri, "experiment_id": self.experiment}
        write_text(self.folder / "mlflow.json", json.dumps(place))
        persistently(self._log_params)
        # MLflow fails if another run inserts the same data set at this moment. A second call succeeds.
        persistently(lambda: self._log_data(start.data), refused_seconds=RETRY_SECONDS)

    def _set_tags(self, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            persistently(partial(self.client.set_tag, self.id, key, value))

    def _recorded(self) -> Counter[tuple[str, int]]:
        """How many values the store has, by name and step. A value that is logged again would show twice.

        A run may log a metric twice at a step: ``keep_best`` evaluates the best weights after the last step.
        """
        metrics = self.client.get_run(self.id).data.metrics
        history = [m for name in metrics for m in self.client.get_metric_history(self.id, name)]
        history.sort(key=lambda metric: metric.step)
        self._latest = {m.key: (m.key, m.value, m.timestamp, m.step) for m in history}
        return Counter((m.key, m.step) for m in history)

    def _log_params(self) -> None:
        from mlflow.entities import Param

        items = [Param(key, value) for key, value in self._params.items()]
        for start in range(0, len(items), PARAMS):
            self.client.log_batch(self.id, params=items[start : start + PARAMS])

    def _log_data(self, parts: Sequence[DataPart]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for part in parts:
            profile = {key: getattr(part, key) for key in ("rows", "features", "outputs", "task", "dtype")}
            dataset = Dataset(
                name=part.name,
                digest=part.digest,
                source_type="mlpframe",
                source=json.dumps({"dataset": part.name}),
                profile=json.dumps(profile),
            )
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", part.context)]))
        if inputs:
            self.client.log_inputs(self.id, inputs)

    def add(self, values: Sequence[Sequence[Any]]) -> None:
        """Collect metric values, each as (name, value, milliseconds, step)."""
        new = [(name, value, at, step) for name, value, at, step in values if self._is_new(name, step)]
        self._pending += new
        self._latest |= {metric[0]: metric for metric in new}

    def _is_new(self, name: str, step: int) -> bool:
        """Whether the store lacks a value. Each value in the store stands for one value of the run."""
        if not self._known[name, step]:
            return True
        self._known[name, step] -= 1
        return False

    def flush(self) -> None:
        """Record the collected values. Values that the store refuses are kept for the next call."""
        from mlflow.entities import Metric

        while self._pending:
            batch = [Metric(name, value, at, step) for name, value, at, step in self._pending[:BATCH]]
            self.client.log_batch(self.id, metrics=batch)
            del self._pending[:BATCH]

    def end(self, message: End) -> dict[str, Any]:
        """Record the remaining values and the files, and end the run. Returns where the run is recorded."""
        persistently(self.flush, refused_seconds=RETRY_SECONDS)
        for part in message.files:
            if (self.folder / part).is_dir():
                persistently(partial(self.client.log_artifacts, self.id, str(self.folder / part), part))
        registered = {}
        if message.model is not None:
            address = self._log_model(message.model)
            if message.register is not None:
                name = persistently(partial(self._register, message.register, address))
                registered = {"registered": name}
        self._set_tags(message.tags)
        persistently(lambda: self.client.set_terminated(self.id, message.status))
        self._lock.release()
        return {"run_id": self.id, "experiment_id": self.experiment, "uri": self.uri, **registered}

    def discard(self) -> None:
        """Delete the run, because the sweep that it stands for never started."""
        self.client.set_terminated(self.id, "FAILED")
        self.client.delete_run(self.id)

    def _register(self, name: str, address: str) -> str:
        """Register the model with MLflow's address ``address`` as ``name``. Returns the version's address."""
        import mlflow

        mlflow.set_tracking_uri(self.uri)
        version = mlflow.register_model(address, name, await_registration_for=0)
        return f"models:/{name}/{version.version}"

    def _log_model(self, model: ModelInterface) -> str:
        """Record the model in the run's folder, with its metrics and the data that they were computed on.

        ``mlflow.pyfunc.log_model`` is not used: it would load the model and predict the example, which takes
        time, and it would not link the data.
        """
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        from .model import write_model

        create = partial(self.client.create_logged_model, self.experiment, "model", self.id)
        logged = persistently(partial(create, params=self._params))
        with TemporaryDirectory() as folder:
            path = Path(folder, "model")
            write_model(path, self.folder / "model" / "model.npz", model, logged)
            persistently(lambda: self.client.log_model_artifacts(logged.model_id, str(path)))
        ready, output = LoggedModelStatus.READY, LoggedModelOutput(logged.model_id, model.step)
        persistently(lambda: self.client.finalize_logged_model(logged.model_id, ready))
        persistently(lambda: self.client.log_outputs(self.id, [output]))
        persistently(lambda: self._link_metrics(logged.model_id, model.step))
        return f"models:/{logged.model_id}"

    def _link_metrics(self, model_id: str, step: int) -> None:
        """Link each metric after ``step`` updates to the model, and to the data that it was computed on."""
        from mlflow.entities import Metric

        metrics = []
        for name, value, at, measured in self._latest.values():
            part = self._data.get(PARTS.get(name.partition("/")[0], ""))
            if part is not None and measured == step:
                metrics.append(Metric(name, value, at, step, model_id, part.name, part.digest, self.id))
        self.client.log_batch(self.id, metrics=metrics)


class Recorder:
    """The open runs of one training process."""

    def __init__(self) -> None:
        self._runs: dict[Path, RecordedRun] = {}
        self._failed: dict[Path, str] = {}

    def handle(self, folder: Path, message: Message) -> dict[str, Any] | None:
        """Carry out one message about the run in ``folder``. Returns the answer to ``AskId`` or ``End``."""
        match message:
            case Start():
                try:
                    self._runs[folder] = RecordedRun(folder, message)
                except Exception as error:
                    self._failed[folder] = _reason(error)
            case Metrics():
                if folder in self._runs:
                    self._runs[folder].add(message.values)
            case Discard():
                if folder in self._runs:
                    self._runs.pop(folder).discard()
            case AskId():
                if folder in self._failed:
                    return {"error": self._failed[folder]}
                return {"run_id": self._runs[folder].id}
            case End():
                return self._end(folder, message)
        return None

    def _end(self, folder: Path, message: End) -> dict[str, Any]:
        if folder in self._failed:
            return {"error": self._failed.pop(folder)}
        run = self._runs.pop(folder)
        try:
            return run.end(message)
        except Exception as error:
            with suppress(Exception):  # without an end, MLflow would show the run as running forever
                run.client.set_terminated(run.id, "FAILED")
            return {"error": _reason(error)}

    def flush(self) -> None:
        for run in self._runs.values():
            try:
                run.flush()
            except Exception:
                traceback.print_exc()  # flush() tries again in a second

    def abandon(self) -> None:
        """Record what has arrived and mark all open runs as killed, because the training process is gone."""
        for run in self._runs.values():
            try:
                run.end(End("KILLED", {"mlpframe.status": "killed"}, ["checkpoints"]))
            except Exception:
                traceback.print_exc()


def _git_tags() -> dict[str, str]:
    """The git commit of the current folder, if the folder is in a checkout."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = git.stdout.strip()
    return {"mlpframe.git": commit, "mlflow.source.git.commit": commit} if git.returncode == 0 else {}


def _reason(error: Exception) -> str:
    traceback.print_exc()
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _prefetch() -> None:
    """Import the modules that the end of a run needs, at a moment when the worker has no messages."""
    from . import model  # noqa: F401


def main() -> None:
    warnings.simplefilter("ignore")
    if hasattr(os, "nice"):
        os.nice(10)  # lower priority than the training process
    set_defaults()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that libraries cannot print between the answers
    messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin.buffer:
            messages.put(line)
        messages.put(None)

    threading.Thread(target=read, daemon=True).start()
    recorder = Recorder()
    prefetched, flushed = False, time.monotonic()
    while True:
        try:
            line = messages.get(timeout=FLUSH_SECONDS if prefetched else 0.01)
            if line is None:
                break
            answer = recorder.handle(*decode(line))
            if answer is not None:
                print(json.dumps(answer), file=answers, flush=True)
        except queue.Empty:
            if not prefetched:
                _prefetch()
                prefetched = True
        if time.monotonic() - flushed > FLUSH_SECONDS:
            recorder.flush()
            flushed = time.monotonic()
    recorder.abandon()
    sys.stderr.flush()
    os._exit(0)  # because a normal exit takes half a second after MLflow has been imported


if __name__ == "__main__":
    main()
