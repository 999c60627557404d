"""A trained model as an MLflow pyfunc model. MLflow runs this file to load the model.

MLflow stores a copy of this file beside the model, and may run the copy years later. So this file imports
public names only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

from mlpframe.api import UsageError
from mlpframe.training import Predictor


class MLPModel(PythonModel):  # type: ignore[misc]  # mlflow has no types
    """Predicts from raw inputs in the form of the training data.

    A model that was trained on a table returns a data frame: labels and probabilities, or values in the
    target's unit. A model that was trained on an array returns the array that ``Predictor.predict`` returns.
    """

    def load_context(self, context: PythonModelContext) -> None:
        self._predictor = Predictor(Path(context.artifacts["model"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> Any:
        try:
            if self._predictor.encoder.columns is None:
                return self._predictor.predict(np.asarray(model_input))
            return self._predictor.predict_frame(model_input)
        except UsageError as error:  # only messages of MLflow's own exceptions reach a server's client
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(MLPModel())
