"""MLflow's store: made ready safely when several processes start at once."""

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


@event.listens_for(Engine, "connect")
def _sync_rarely(connection: object, _: object) -> None:
    """With a write-ahead log this is as safe against a crash, and others wait less for the disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous=NORMAL")


def client(uri: str) -> MlflowClient:
    """A client of the store at ``uri``; a SQLite store that does not exist is made first."""
    if uri.startswith(PREFIX):
        _make_ready(Path(uri.removeprefix(PREFIX)))
    return MlflowClient(tracking_uri=uri)


def _make_ready(database: Path) -> None:
    """Create the database under a lock, in a temporary file, and move it into place when it is whole.

    Several processes that create one store at once break it for good; and made without syncing every
    migration to the disk it is there in a fraction of the time.
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
    """The experiment of that name, made if it is new; its artifacts lie beside a SQLite store."""
    found = store.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    where: dict[str, Any] = {}
    if uri.startswith(PREFIX):
        folder = Path(uri.removeprefix(PREFIX)).parent / "mlartifacts"
        where = {"artifact_location": folder.resolve().as_uri()}
    try:
        return str(store.create_experiment(name, **where))
    except MlflowException:  # another process was first
        found = store.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
