"""Find runs in MLflow's store and read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import mlflow.artifacts
from mlflow.exceptions import MlflowException

from ..registry import UsageError, nearest
from .retry import persistently
from .store import PREFIX, client, few_retries

T = TypeVar("T")
SQLITE = b"SQLite format 3\0"
"""The first bytes of every SQLite file (sqlite.org/fileformat.html)."""


@dataclass(frozen=True)
class StoredRun:
    """A run as it is recorded in the store. ``metrics`` holds the latest value of each metric."""

    id: str
    status: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    @property
    def is_sweep(self) -> bool:
        return self.tags.get("mlpframe.sweep") == "true"


class RunStore:
    """The runs of a store that exists.

    Args:
        uri: the address of the store, which is only read.
        experiment: the name of the experiment to search; ``None``: all experiments.

    Raises:
        UsageError: the store or the experiment does not exist. Every method raises this error if the store
            does not have the run or the model that the method looks for.
    """

    def __init__(self, uri: str, experiment: str | None = None) -> None:
        self.uri = uri
        if uri.startswith(PREFIX):
            _check_database(uri)
        self._client = self._ask(lambda: client(uri))
        experiments: Sequence[Any] = self._ask(self._client.search_experiments)
        ids = {stored.name: stored.experiment_id for stored in experiments}
        if experiment is not None and experiment not in ids:
            raise UsageError(f"there is no experiment {experiment!r} in {uri}; {nearest(experiment, ids)}")
        self._experiments = [ids[name] for name in ids if experiment in (None, name)]

    def search(self, filter_string: str = "") -> list[StoredRun]:
        """The runs that a filter in MLflow's syntax finds, oldest first."""
        find = partial(
            self._client.search_runs, self._experiments, filter_string, order_by=["attributes.start_time ASC"]
        )
        page: Any = self._ask(find)
        runs = list(page)
        while page.token:
            page = self._ask(partial(find, page_token=page.token))
            runs += page
        return [
            StoredRun(
                run.info.run_id,
                run.info.status,
                run.data.params,
                run.data.metrics,
                run.data.tags,
            )
            for run in runs
        ]

    def starting_with(self, beginning: str) -> StoredRun:
        """The only run whose id starts with ``beginning``."""
        runs = self.search(f"run_id LIKE '{beginning}%'")
        if len(runs) == 1:
            return runs[0]
        if runs:
            ids = ", ".join(run.id for run in runs[:3]) + ", …" * (len(runs) > 3)
            raise UsageError(
                f"{beginning}: the ids of {len(runs)} runs begin with this: {ids}; give more characters"
            )
        length = max(8, len(beginning))
        known = nearest(beginning, {run.id[:length] for run in self.search()})
        raise UsageError(f"{beginning}: no run in {self.uri} has an id that begins with this; {known}")

    def children(self, run: StoredRun) -> list[StoredRun]:
        """The runs of a sweep. The list is empty if ``run`` is not a sweep."""
        return self.search(f"tags.`mlflow.parentRunId` = '{run.id}'")

    def run_of_model(self, name: str) -> str | None:
        """The id of the run that trained a registered model, ``models:/name/3`` or ``models:/name@alias``."""
        model, at, alias = name.removeprefix("models:/").partition("@")
        model, _, number = model.partition("/")
        try:
            registered: Any = persistently(lambda: self._client.get_registered_model(model))
        except MlflowException:
            names = {one.name for one in self._ask(self._client.search_registered_models)}
            raise UsageError(
                f"{name}: there is no registered model {model!r} in {self.uri}; {nearest(model, names)}"
            ) from None
        found: Any = self._ask(lambda: self._client.search_model_versions(f"name = '{model}'"))
        runs = {str(version.version): version.run_id for version in found}
        aliases = {name: str(number) for name, number in registered.aliases.items()}
        if (aliases.get(alias) if at else number) not in runs:
            known = [*(f"{model}/{number}" for number in runs), *(f"{model}@{alias}" for alias in aliases)]
            raise UsageError(
                f"{name}: the model has no such version; {nearest(f'{model}{at}{alias}', known)}"
            )
        return runs[aliases[alias] if at else number] or None

    def _ask(self, call: Callable[[], T]) -> T:
        with _in_words(self.uri):
            return persistently(call)


def fetch_model(uri: str, name: str, folder: Path, *, to: Path) -> None:
    """Copy a model from the store ``uri``, and the configuration of the run that trained the model.

    Args:
        uri: the address of the store.
        name: a registered model, such as ``models:/name/3``, or the beginning of the id of a run.
        folder: a new folder that gets the run's ``config/config.yaml`` and the model's artifacts.
        to: the path that the model file gets.

    Raises:
        UsageError: the store has no such model, or mlpframe did not write the model.
    """
    few_retries()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    store = RunStore(uri)
    if name.startswith("models:"):
        source, run_id = name, store.run_of_model(name)
    else:
        run_id = store.starting_with(name).id
        source = f"runs:/{run_id}/model"
    download, artifacts = mlflow.artifacts.download_artifacts, folder / "artifacts"
    with _current_store(uri):
        with _in_words(f"{name}: its model is not in {uri}"):
            download(artifact_uri=source, dst_path=str(artifacts))
        if run_id:
            with suppress(MlflowException, OSError):  # the model can be used without the configuration
                download(artifact_uri=f"runs:/{run_id}/config", dst_path=str(folder))
    files = list(artifacts.rglob(to.name))
    if len(files) != 1:
        raise UsageError(f"{name}: mlpframe did not write this model; expected one file {to.name} in it")
    to.parent.mkdir(parents=True, exist_ok=True)
    files[0].replace(to)


@contextmanager
def _current_store(uri: str) -> Iterator[None]:
    """Make ``uri`` MLflow's current store, because MLflow looks up ``runs:/`` and ``models:/`` only there."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)  # also sets MLFLOW_TRACKING_URI
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    """Turn an error of MLflow into a ``UsageError`` of one line that begins with ``what``."""
    try:
        yield
    except (MlflowException, OSError) as error:
        raise UsageError(f"{what}: {str(error).splitlines()[0]}") from error


def _check_database(uri: str) -> None:
    """Refuse a file that is missing, empty or not an SQLite database.

    Otherwise MLflow would turn a missing or empty file into a new database, and would try for minutes to read
    a file that is no database.
    """
    file = Path(uri.removeprefix(PREFIX))
    if not file.is_file():
        raise UsageError(
            f"there is no store {uri}; expected a store with recorded runs: train first, or give --uri"
        )
    with file.open("rb") as opened:
        if opened.read(len(SQLITE)) != SQLITE:
            raise UsageError(f"{uri} is not an SQLite database; expected a store with recorded runs")
