"""Tell MLflow that the process of a run was killed."""

from __future__ import annotations

from .environment import set_defaults


def mark_killed(uri: str, run_id: str) -> str | None:
    """Give a run that MLflow shows as running the status KILLED.

    Args:
        uri: the address of the store, which must exist.
        run_id: the id of the run.

    Returns:
        Why MLflow cannot be told; ``None`` if MLflow knows it now.
    """
    set_defaults()
    from mlflow.exceptions import MlflowException

    from .store import client

    try:
        store = client(uri)
        if store.get_run(run_id).info.status == "RUNNING":
            store.set_tag(run_id, "mlpframe.status", "killed")
            store.set_terminated(run_id, "KILLED")
    except (MlflowException, OSError) as error:
        return f"{error}".splitlines()[0]
    return None
