"""The messages to a tracker: one dataclass for each kind of message, and its encoding as JSON.

The training process builds the messages, and the tracking process (``worker``) reads them. In the pipe
between the two processes, a message is one line of JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..api.dataset import Table
    from ..training.data.prepare import Data

DIGEST_ROWS = 10_000
TYPES = {"boolean": "boolean", "string": "string", "integer": "long", "floating": "double"}
"""MLflow's type of a column, by the type that pandas infers."""


@dataclass(frozen=True)
class DataPart:
    """One part of a run's data: training, validation or test rows.

    Args:
        name: the data set's name.
        context: which part of the data this is.
        digest: eight hexadecimal digits that identify the rows.
    """

    name: str
    context: str
    digest: str
    rows: int
    features: int
    outputs: int
    task: str
    dtype: str


@dataclass(frozen=True)
class Start:
    """Begin an MLflow run, or continue one.

    Args:
        uri: the address of the store.
        experiment: the MLflow experiment's name.
        name: the run's name for people.
        tags, params: recorded when the run begins.
        data: the parts of the data.
        parent: the id of the parent run; ``None`` if the run has no parent.
        run_id: the id of the run to continue; ``None`` for a new run.
    """

    uri: str
    experiment: str
    name: str
    tags: dict[str, str]
    params: dict[str, Any] = field(default_factory=dict)
    data: list[DataPart] = field(default_factory=list)
    parent: str | None = None
    run_id: str | None = None

    def __post_init__(self) -> None:
        parts = [part if isinstance(part, DataPart) else DataPart(**part) for part in self.data]
        object.__setattr__(self, "data", parts)  # decoded from JSON, the parts are mappings


@dataclass(frozen=True)
class Metrics:
    """Values of metrics, each as (name, value, milliseconds since 1970, number of parameter updates)."""

    values: Sequence[tuple[str, float, int, int]]


@dataclass(frozen=True)
class AskId:
    """Answer with the id of the MLflow run."""


@dataclass(frozen=True)
class Discard:
    """Delete the run, because the sweep that it stands for never started."""


@dataclass(frozen=True)
class ModelInterface:
    """The inputs and outputs of a model, for MLflow's signature of the model.

    A model trained on a data frame takes and returns tables. Any other model takes and returns arrays.

    Args:
        step: the number of parameter updates after which the model was saved.
        inputs, outputs: the number of the columns that the model takes, and of the network's outputs.
        dtype: the type of the array that the model returns.
        example: a few rows of inputs; ``None`` is a missing value.
        columns: what each column of the table holds, by its name; ``None`` if the model takes an array.
        returned: MLflow's type of each column of the table that the model returns, by its name.
    """

    step: int
    inputs: int
    outputs: int
    dtype: str
    example: list[list[Any]]
    columns: dict[str, str] | None = None
    returned: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """End the run. The answer holds the ids of run and experiment, and the address of the store.

    Args:
        status: MLflow's status: FINISHED, FAILED or KILLED.
        tags: recorded at the end.
        files: subfolders of the run's folder to keep as artifacts.
        model: inputs and outputs of the model in ``model/model.npz``; ``None`` if there is no model.
        register: the name under which the model is registered; ``None`` if it is not registered.
    """

    status: str
    tags: dict[str, str] = field(default_factory=dict)
    files: Sequence[str] = ()
    model: ModelInterface | None = None
    register: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.model, dict):  # decoded from JSON
            object.__setattr__(self, "model", ModelInterface(**self.model))


Message = Start | Metrics | AskId | Discard | End
KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in (Start, Metrics, AskId, Discard, End)}


def encode(run: Path, message: Message) -> bytes:
    """Encode a message about the run in the folder ``run`` as one line of JSON."""
    content = {"kind": type(message).__name__, "run": str(run), "message": asdict(message)}
    return json.dumps(content).encode() + b"\n"


def decode(line: bytes) -> tuple[Path, Message]:
    """Decode a line that ``encode`` wrote. Returns the run's folder and the message."""
    content = json.loads(line)
    return Path(content["run"]), KINDS[content["kind"]](**content["message"])


def data_parts(data: Data) -> list[DataPart]:
    """Describe the parts of a run's data (training, validation and test rows) for the tracker."""
    tables = {"train": data.train, "validation": data.validation, "test": data.test}
    return [
        DataPart(
            name=data.name,
            context=context,
            digest=digest(table),
            rows=len(table),
            features=table.x.shape[1],
            outputs=data.splits.n_outputs,
            task=data.splits.task,
            dtype=str(table.x.dtype),
        )
        for context, table in tables.items()
        if table is not None
    ]


def model_interface(data: Data, step: int, *, scores: bool) -> ModelInterface:
    """What a model that was trained on these data takes and returns.

    Args:
        data: the run's data. If they come from a data frame, the model takes and returns a table.
        step: the number of parameter updates after which the model was saved.
        scores: whether the predictions of a classification are scores that are not probabilities.
    """
    from pandas.api.types import infer_dtype

    from ..training.data.table import Words

    outputs, dtype = data.splits.n_outputs, str(data.train.x.dtype)
    columns = data.encoder.columns
    if columns is None:
        return ModelInterface(step, data.example.shape[1], outputs, dtype, data.example.tolist())
    used = {column.name: column.kind for column in columns if column.features}
    words = Words(data.encoder.target, data.splits.task, outputs, scores=scores)
    table = words.table(np.zeros((1, outputs)))
    types = {str(name): TYPES[infer_dtype(values)] for name, values in table.items()}
    example = json.loads(data.example[list(used)].to_json(orient="values", date_format="iso"))
    return ModelInterface(step, len(used), outputs, dtype, example, used, types)


def digest(table: Table) -> str:
    """Eight hexadecimal digits that identify a table: its shapes, types, and first 10,000 rows."""
    sha = hashlib.sha256()
    for array in (table.x, table.y):
        sha.update(f"{array.shape}{array.dtype}".encode())
        sha.update(np.ascontiguousarray(array[:DIGEST_ROWS]).data)
    return sha.hexdigest()[:8]
