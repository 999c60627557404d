"""The process that speaks to MLflow: reads messages, one JSON object a line, and records them.

Metrics are collected and written once a second. When the pipe closes before a run was ended, its process
has died: the run is marked KILLED, with everything that had arrived.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from .retry import persistently

FLUSH_SECONDS = 1.0
RETRY_SECONDS = 60.0
"""How long the end of a run goes on trying to record values that the store refused."""
BATCH = 1000  # MLflow's limit of metrics a call
PARAMS = 100  # and of parameters
PARAM_LENGTH = 6000


class RecordedRun:
    """One MLflow run.

    Args:
        about: ``uri``, ``experiment``, ``name``, ``tags``, ``params``, ``data`` (parts as ``data.describe``
            returns them), ``parent`` or null, ``run_id`` of a run to go on with or null, and ``run``: its
            folder.
    """

    def __init__(self, about: Mapping[str, Any]) -> None:
        from filelock import FileLock
        from mlflow.entities import RunStatus

        from . import store

        self.folder = Path(about["run"])
        self._lock = FileLock(self.folder / "mlflow.lock")
        self._lock.acquire()  # the process of a run that was killed may still be recording
        self.uri: str = about["uri"]
        self.client = persistently(lambda: store.client(self.uri))
        self._pending: list[tuple[str, float, int, int]] = []
        self._known: set[tuple[str, int]] = set()
        if about["run_id"]:
            self.id: str = about["run_id"]
            self.experiment = str(self.client.get_run(self.id).info.experiment_id)
            self._known = persistently(self._recorded)
            persistently(lambda: self.client.update_run(self.id, RunStatus.to_string(RunStatus.RUNNING)))
            self._set_tags(about["tags"])
            return
        tags = {
            "mlflow.user": getpass.getuser(),
            "mlflow.source.name": "mlpframe",
            "mlflow.source.type": "LOCAL",
            **_git_tags(),
            **about["tags"],
        }
        if about["parent"]:
            tags["mlflow.parentRunId"] = about["parent"]
        self.experiment = persistently(
            lambda: store.experiment_id(self.client, self.uri, about["experiment"])
        )
        made = persistently(
            lambda: self.client.create_run(self.experiment, run_name=about["name"], tags=tags)
        )
        self.id = str(made.info.run_id)
        (self.folder / "mlflow.json").write_text(
            json.dumps({"run_id": self.id, "uri": self.uri, "experiment_id": self.experiment})
        )
        persistently(lambda: self._log_params(about["params"]))
        persistently(lambda: self._log_data(about["data"]))

    def _set_tags(self, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            persistently(partial(self.client.set_tag, self.id, key, value))

    def _recorded(self) -> set[tuple[str, int]]:
        """What the store has of each metric: logging a step again would show it twice."""
        metrics = self.client.get_run(self.id).data.metrics
        return {(name, m.step) for name in metrics for m in self.client.get_metric_history(self.id, name)}

    def _log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        items = [Param(key, str(value)[:PARAM_LENGTH]) for key, value in params.items()]
        for start in range(0, len(items), PARAMS):
            self.client.log_batch(self.id, params=items[start : start + PARAMS])

    def _log_data(self, parts: Sequence[Mapping[str, Any]]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        inputs = []
        for part in parts:
            profile = {key: part[key] for key in ("rows", "features", "outputs", "task", "dtype")}
            dataset = Dataset(
                name=part["name"],
                digest=part["digest"],
                source_type="mlpframe",
                source=json.dumps({"dataset": part["name"]}),
                profile=json.dumps(profile),
            )
            inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", part["context"])]))
        if inputs:
            self.client.log_inputs(self.id, inputs)

    def add(self, values: Sequence[Sequence[Any]]) -> None:
        """Take note of (name, value, milliseconds, step)."""
        self._pending += [
            (name, value, at, step) for name, value, at, step in values if (name, step) not in self._known
        ]

    def flush(self) -> None:
        """Record the values noted so far; what is refused stays noted."""
        from mlflow.entities import Metric

        while self._pending:
            batch = [Metric(name, value, at, step) for name, value, at, step in self._pending[:BATCH]]
            self.client.log_batch(self.id, metrics=batch)
            del self._pending[:BATCH]

    def end(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Record what is left and the files of the folder, end the run.

        Args:
            message: ``status``, and where it has them ``tags``, ``model`` (what ``predictor.save_model``
                returned) and ``files``: parts of the run's folder to keep as artifacts.
        """
        give_up = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                persistently(self.flush)
                break
            except Exception:
                if time.monotonic() > give_up:
                    raise
                time.sleep(1)
        for part in message.get("files", ()):
            if (self.folder / part).is_dir():
                persistently(partial(self.client.log_artifacts, self.id, str(self.folder / part), part))
        if message.get("model"):
            persistently(lambda: self._log_model(message["model"]))
        self._set_tags(message.get("tags", {}))
        persistently(lambda: self.client.set_terminated(self.id, message["status"]))
        self._lock.release()
        return {"run_id": self.id, "experiment_id": self.experiment, "uri": self.uri}

    def discard(self) -> None:
        """Take the run back: what it was for did not start."""
        self.client.set_terminated(self.id, "FAILED")
        self.client.delete_run(self.id)

    def _log_model(self, about: Mapping[str, Any]) -> None:
        import mlflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema, TensorSpec

        import mlpframe

        dtype = np.dtype(about["dtype"])
        signature = ModelSignature(
            Schema([ColSpec("double")] * about["n_in"]),  # unlike a tensor's type, also takes float32
            Schema([TensorSpec(dtype, (-1, about["n_outputs"]))]),
        )
        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=self.id):
            mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                artifacts={"model": str(self.folder / "model" / "model.npz")},
                signature=signature,
                pip_requirements=[f"mlpframe=={mlpframe.__version__}", f"numpy=={np.__version__}"],
            )


class Recorder:
    """The open runs of one training process."""

    def __init__(self) -> None:
        self._runs: dict[str, RecordedRun] = {}
        self._failed: dict[str, str] = {}

    def handle(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        """Carry out one message; an answer for ``end`` and ``start_parent``."""
        run = message["run"]
        match message["do"]:
            case "start":
                try:
                    self._runs[run] = RecordedRun(message)
                except Exception as error:
                    self._failed[run] = _reason(error)
            case "metrics":
                if run in self._runs:
                    self._runs[run].add(message["values"])
            case "discard":
                if run in self._runs:
                    self._runs.pop(run).discard()
            case "id":
                return {"error": self._failed[run]} if run in self._failed else {"run_id": self._runs[run].id}
            case "end":
                if run in self._failed:
                    return {"error": self._failed.pop(run)}
                try:
                    return self._runs[run].end(message)
                except Exception as error:
                    with suppress(Exception):  # no run may seem to go on for ever
                        self._runs[run].client.set_terminated(self._runs[run].id, "FAILED")
                    return {"error": _reason(error)}
                finally:
                    self._runs.pop(run, None)
        return None

    def flush(self) -> None:
        for run in self._runs.values():
            try:
                run.flush()
            except Exception:
                traceback.print_exc()  # tried again in a second

    def abandon(self) -> None:
        """The training process is gone: record what arrived, mark its runs."""
        for run in self._runs.values():
            from ..figures.run import draw_results

            try:
                draw_results(run.folder, {})
                run.end({"status": "KILLED", "tags": {"mlpframe.status": "killed"}, "files": ["checkpoints"]})
            except Exception:
                traceback.print_exc()


def _git_tags() -> dict[str, str]:
    """The commit of the folder the command was given in, where that is a checkout."""
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    commit = git.stdout.strip()
    return {"mlpframe.git": commit, "mlflow.source.git.commit": commit} if git.returncode == 0 else {}


def _reason(error: Exception) -> str:
    traceback.print_exc()
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _prefetch() -> None:
    """Import what the end of a run needs while nothing is asked for."""
    import mlflow.pyfunc  # noqa: F401


def main() -> None:
    warnings.simplefilter("ignore")
    os.nice(10)  # training goes first
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # its 7 take four minutes
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever libraries print is not an answer
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
            answer = recorder.handle(json.loads(line))
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
    os._exit(0)  # taking down an interpreter with MLflow in it takes half a second


if __name__ == "__main__":
    main()
