"""Write a trained model as an MLflow model, with its signature, an example and its requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModel
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType

from .. import __version__
from .messages import ModelInterface

CODE = Path(__file__).with_name("pyfunc_model.py")


def write_model(path: Path, file: Path, model: ModelInterface, logged: LoggedModel) -> None:
    """Write an MLflow model.

    Args:
        path: the folder to write.
        file: the model file that ``save_model`` of ``mlpframe.training`` wrote.
        model: the inputs and outputs of the model.
        logged: the model's entry in the store.
    """
    packages = [f"mlpframe=={__version__}", f"numpy=={np.__version__}"]
    if model.columns is not None:
        packages.append(f"pandas=={pd.__version__}")
    mlflow.pyfunc.save_model(
        path=str(path),
        python_model=str(CODE),
        artifacts={"model": str(file)},
        signature=_signature(model),
        input_example=_example(model) if model.example else None,
        pip_requirements=packages,
        metadata=None if model.columns is None else {"columns": model.columns},
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            run_id=logged.source_run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
        ),
    )


def _signature(model: ModelInterface) -> ModelSignature:
    """The model's inputs and outputs as a signature of MLflow.

    The columns of a table have MLflow's type Any, so that MLflow accepts all values, and the model itself
    checks the values. MLflow's other types are too strict for a table: double refuses a column of whole
    numbers, and string refuses a column without any value.
    """
    if model.columns is not None:
        return ModelSignature(
            Schema([ColSpec(AnyType(), name) for name in model.columns]),
            Schema([ColSpec(kind, name) for name, kind in model.returned.items()]),
        )
    return ModelSignature(
        Schema([ColSpec("double")] * model.inputs),  # a tensor of double would refuse float32
        Schema([TensorSpec(np.dtype(model.dtype), (-1, model.outputs))]),
    )


def _example(model: ModelInterface) -> Any:
    if model.columns is None:
        return np.array(model.example, np.float64)
    return pd.DataFrame(model.example, columns=list(model.columns), dtype=object)
