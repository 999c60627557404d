"""scikit-learn's models with default settings, each in the pipeline that scikit-learn's manual recommends."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from .catalog import Task
from .contest import Prediction

MOST_ONE_HOT = 1_000
"""The largest number of one-hot inputs for one column of categories; the rare categories share an input."""
MOST_NATIVE = 255
"""The largest number of categories in a column that histogram gradient boosting accepts."""
OTHER = "(other)"


def mlp(train: pd.DataFrame, test: pd.DataFrame, target: str, task: Task, seed: int) -> Prediction:
    """MLPClassifier or MLPRegressor, with median imputation, scaled numbers and one-hot categories."""
    inputs = _plain(train.drop(columns=target))
    numbers = inputs.select_dtypes("number").columns
    prepare = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MOST_ONE_HOT),
                inputs.columns.difference(numbers, sort=False),
            ),
        ]
    )
    if task == "classification":
        model = make_pipeline(prepare, MLPClassifier(random_state=seed))
    else:
        regressor = make_pipeline(prepare, MLPRegressor(random_state=seed))
        model = TransformedTargetRegressor(regressor, transformer=StandardScaler())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the default limit of 200 epochs causes it
        return _fit_predict(model, inputs, train[target], _plain(test), task)


def boosting(train: pd.DataFrame, test: pd.DataFrame, target: str, task: Task, seed: int) -> Prediction:
    """HistGradientBoostingClassifier or -Regressor, which handle categories and missing values themselves."""
    inputs, test = _plain(train.drop(columns=target)), _plain(test)
    for column in inputs.columns.difference(inputs.select_dtypes("number").columns):
        inputs[column], test[column] = _native(inputs[column], test[column])
    make = HistGradientBoostingClassifier if task == "classification" else HistGradientBoostingRegressor
    model = make(categorical_features="from_dtype", random_state=seed)
    return _fit_predict(model, inputs, train[target], test, task)


def _fit_predict(
    model: Any, inputs: pd.DataFrame, target: pd.Series, test: pd.DataFrame, task: Task
) -> Prediction:
    model.fit(inputs, target.to_numpy())
    if task == "regression":
        return Prediction(model.predict(test))
    probabilities = pd.DataFrame(model.predict_proba(test), columns=model.classes_)
    return Prediction(model.predict(test), probabilities)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert columns for scikit-learn: dates to days, true and false to 1 and 0, missing text to NaN."""
    columns = {}
    for name, column in frame.items():
        if pd.api.types.is_datetime64_any_dtype(column):
            columns[name] = (column - pd.Timestamp(0)) / pd.Timedelta(days=1)
        elif pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
            columns[name] = column.astype(float)
        else:
            columns[name] = column.astype(object).where(column.notna(), np.nan)
    return pd.DataFrame(columns)


def _native(train: pd.Series, test: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Make a column of text categorical, with the categories of the training rows.

    If there are more than 255 categories, all rare categories become the category "(other)", and so do
    categories that only the test rows have. With fewer categories there is no "(other)", so a category that
    only the test rows have becomes a missing value.
    """
    known = list(train.value_counts().index)
    if len(known) > MOST_NATIVE:
        known = known[: MOST_NATIVE - 1]
        train, test = (column.where(column.isin(known) | column.isna(), OTHER) for column in (train, test))
        known.append(OTHER)
    dtype = pd.CategoricalDtype(known)
    return train.where(train.isin(known)).astype(dtype), test.where(test.isin(known)).astype(dtype)
