"""Delete runs from MLflow's store, together with their files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.utils.file_utils import local_file_uri_to_path

from ..registry import UsageError
from .retry import persistently
from .store import client, few_retries


class StoredEntry:
    """A run in an existing MLflow store, with its models and the files of the run and the models.

    Args:
        uri: the address of the store.
        run_id: the full id of the run.

    Raises:
        UsageError: the store cannot be read, or a model of the run is registered.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        few_retries()
        self.run_id = run_id
        with _in_words(uri):
            self._client = persistently(lambda: client(uri))
            self._run = self._get_run()
            self._models = self._get_models() if self._run is not None else []
            versions = self._registered()
        if versions:
            raise UsageError(
                f"the model of run {run_id} is registered as {', '.join(versions)}: "
                "delete that version of the registered model first"
            )

    def _get_run(self) -> Any:
        try:
            return persistently(lambda: self._client.get_run(self.run_id))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _get_models(self) -> list[Any]:
        experiment, source = self._run.info.experiment_id, f"source_run_id = '{self.run_id}'"
        return list(
            persistently(lambda: self._client.search_logged_models([experiment], filter_string=source))
        )

    def _registered(self) -> list[str]:
        """The registered models that came from the run, as ``name/version``."""
        filters = [f"run_id = '{self.run_id}'"]
        filters += [f"source_path = 'models:/{model.model_id}'" for model in self._models]
        search = self._client.search_model_versions
        found = [version for text in filters for version in persistently(partial(search, text))]
        return sorted({f"{version.name}/{version.version}" for version in found})

    def delete(self, inside: Path) -> list[str]:
        """Delete the run and its models in MLflow, and their files if these are in the folder ``inside``.

        Returns:
            A line for each thing that was deleted or that remains.

        Raises:
            UsageError: the store refused to delete the run or a model.
        """
        if self._run is None:
            return [f"MLflow has no run {self.run_id} any more"]
        with _in_words(f"MLflow run {self.run_id}"):
            if self._run.info.lifecycle_stage == "active":
                persistently(lambda: self._client.delete_run(self.run_id))
            for model in self._models:
                persistently(partial(self._client.delete_logged_model, model.model_id))
        done = [f"MLflow run {self.run_id} is marked as deleted; mlflow gc deletes the entry"]
        places = [(self._run.info.artifact_uri, self.run_id)]
        places += [(model.artifact_location, model.model_id) for model in self._models]
        for uri, name in places:
            folder = _own_folder(uri, name, inside)
            if folder is None:
                done.append(f"artifacts stay in {uri}, which is not in {inside}")
            elif folder.is_dir():
                shutil.rmtree(folder)
                done.append(f"removed {os.path.relpath(folder)}")
        return done


def _own_folder(uri: str, name: str, inside: Path) -> Path | None:
    """The folder called ``name`` that holds the artifacts at ``uri``; ``None`` if it is not in ``inside``."""
    if not uri.startswith(("file:", "/")):
        return None
    path = Path(local_file_uri_to_path(uri)).resolve()
    folders = [folder for folder in (path, *path.parents) if folder.name == name]
    return folders[0] if folders and inside.resolve() in folders[0].parents else None


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except MlflowException as error:
        raise UsageError(f"{what}: {str(error).splitlines()[0]}") from error
