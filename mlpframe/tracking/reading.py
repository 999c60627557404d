"""Finding runs in MLflow's store, to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mlflow.exceptions import MlflowException

from ..registry import UsageError, nearest
from .retry import persistently
from .store import PREFIX, client

T = TypeVar("T")
SQLITE = b"SQLite format 3\0"
"""How such a file begins (sqlite.org/fileformat.html)."""


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it; metrics are the latest values."""

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
        uri: of the store; it is only read.
        experiment: the name of the one to look into, else all.

    Raises:
        UsageError: here and in each method: the store, the experiment or what is asked for is not there.
    """

    def __init__(self, uri: str, experiment: str | None = None) -> None:
        self.uri = uri
        if uri.startswith(PREFIX):
            _check_database(uri)
        self._client = self._ask(lambda: client(uri))
        found: Sequence[Any] = self._ask(self._client.search_experiments)
        ids = {one.name: one.experiment_id for one in found}
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
        """The one run whose id begins so."""
        found = self.search(f"run_id LIKE '{beginning}%'")
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(run.id for run in found[:3]) + ", …" * (len(found) > 3)
            raise UsageError(f"{beginning}: {len(found)} runs have an id that begins so: {ids}")
        length = max(8, len(beginning))
        known = nearest(beginning, {run.id[:length] for run in self.search()})
        raise UsageError(f"{beginning}: no run in {self.uri} has an id that begins so; {known}")

    def children(self, run: StoredRun) -> list[StoredRun]:
        """The runs of a sweep; none of a run that is not one."""
        return self.search(f"tags.`mlflow.parentRunId` = '{run.id}'")

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return persistently(call)
        except MlflowException as error:
            raise UsageError(f"{self.uri}: {str(error).splitlines()[0]}") from error


def _check_database(uri: str) -> None:
    """MLflow would make a database that is missing or empty, and try for minutes to read another file."""
    file = Path(uri.removeprefix(PREFIX))
    if not file.is_file():
        raise UsageError(
            f"there is no store {uri}; expected one with recorded runs: train first, or give --uri"
        )
    with file.open("rb") as opened:
        if opened.read(len(SQLITE)) != SQLITE:
            raise UsageError(f"{uri} is no SQLite database; expected one with recorded runs")
