"""Create MLflow's store, safely even if several processes start at the same time."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import event
from sqlalchemy.engine import Engine

PREFIX = "sqlite:///"


def few_retries() -> None:
    """Let MLflow give up soon on a server that does not answer, and send no data about its use."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # the default, 7, takes 4 min


@event.listens_for(Engine, "connect")
def _sync_rarely(connection: object, _: object) -> None:
    """Let SQLite wait for the disk less often, so that processes that share the database wait less.

    With a write-ahead log, a crash of a process still loses no data.
    """
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")


def client(uri: str) -> MlflowClient:
    """A client of the store at ``uri``. If the store is an SQLite file that does not exist, it is created."""
    if uri.startswith(PREFIX):
        _make_ready(Path(uri.removeprefix(PREFIX)))
    return MlflowClient(tracking_uri=uri)


def _make_ready(database: Path) -> None:
    """Create the database under a lock in a temporary file, and move the finished file into place.

    Without the lock, several processes that create the same database at the same time damage it permanently.
    SQLite need not wait for the disk after every step in the temporary file, which saves most of the time.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{database}.lock"):
        if database.exists():
            return
        part = database.with_name(f".{database.name}.{os.getpid()}")

        def unsynced(connection: sqlite3.Connection, _: object) -> None:
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute("PRAGMA journal_mode=MEMORY")

        event.listen(Engine, "connect", unsynced)
        try:
            MlflowClient(tracking_uri=f"{PREFIX}{part}").search_experiments(max_results=1)
        finally:
            event.remove(Engine, "connect", unsynced)
        with sqlite3.connect(part) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # writers do not wait for readers
        connection.close()
        part.replace(database)


def experiment_id(store: MlflowClient, uri: str, name: str) -> str:
    """The id of the experiment ``name``, which is created if it is new.

    If the store is an SQLite file, the experiment's artifacts are in the folder ``mlartifacts`` beside it.
    """
    experiment = store.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location: dict[str, Any] = {}
    if uri.startswith(PREFIX):
        folder = Path(uri.removeprefix(PREFIX)).parent / "mlartifacts"
        location = {"artifact_location": folder.resolve().as_uri()}
    try:
        return str(store.create_experiment(name, **location))
    except MlflowException:  # another process may have created the experiment first
        experiment = store.get_experiment_by_name(name)
        if experiment is None:
            raise
        return str(experiment.experiment_id)
