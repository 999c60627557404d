"""The scikit-learn classes ``MLPClassifier`` and ``MLPRegressor``, which use neither Hydra nor MLflow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .api import (
    Array,
    Callback,
    ColumnRules,
    DataContext,
    Dataset,
    Loss,
    Optimizer,
    Preparation,
    Schedule,
    Splits,
    Table,
    UsageError,
    check_range,
    multi_hot,
    nearest,
)
from .discovery import load_plugins
from .training.build import DEFAULT_LOSS, build_network
from .training.data.pipeline import Pipeline
from .training.data.prepare import Data, load_data
from .training.data.table import Encoder
from .training.engines import create_engine
from .training.history import History
from .training.lockstep import Lockstep
from .training.network import Network
from .training.optim import Updater
from .training.rng import Streams
from .training.trainer import Settings, Trainer

registries = load_plugins()  # here, because a new process that unpickles an estimator needs the plugins
METRICS = ("accuracy", "subset_accuracy", "r2")
"""The metrics of the validation part. A metric that does not fit the task is not computed."""
SMALL = 100_000
"""If ``X`` has more numbers than this, the default dtype is float32."""
FITTED = "network_"
"""The attribute that an estimator has as soon as it is fitted."""


@dataclass(frozen=True)
class Labels:
    """Targets as the network has them: class numbers ``(n,)``, or numbers ``(n, outputs)``.

    ``class_names`` is empty for a regression. ``integer`` says whether the classes are whole numbers.
    """

    y: Array
    class_names: tuple[str, ...] = ()
    integer: bool = False


class GivenData(Dataset):
    """A data set that consists of the rows that were passed to an estimator."""

    def __init__(self, name: str, splits: Splits, preparation: Preparation) -> None:
        self.name = name  # type: ignore[misc]
        self.shared, self._splits = preparation, splits

    def load(self, context: DataContext) -> Splits:
        return self._splits


class NoTracker:
    """A tracker that records nothing, because the estimator keeps all metrics in ``history_``."""

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        return


class MLPEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """What the classifier and the regressor share: parameters, training, and the network's outputs."""

    encoder_: Encoder
    network_: Network
    history_: History
    n_iter_: int

    def __init__(
        self,
        hidden: Iterable[int] = (100,),
        activation: Any = "relu",
        *,
        init: Any = "glorot",
        model: Any = None,
        loss: Any = None,
        optimizer: Any = "adam",
        lr: float | None = None,
        schedule: Any = "constant",
        epochs: int = 100,
        batch_size: int = 32,
        shuffle: bool = True,
        dtype: str | None = None,
        scaling: str = "standard",
        scale_target: bool | None = None,
        missing: str = "error",
        columns: Mapping[str, Any] | None = None,
        validation: Any = 0,
        metrics: Any = METRICS,
        callbacks: Any = (),
        engine: Any = "auto",
        log_every: int = 100,
        folder: str | Path = ".",
        random_state: Any = None,
    ) -> None:
        """Store the parameters. They are the settings of the command line, under the same names.

        A component is its name, a mapping with its name and its options, such as
        ``{"name": "adam", "weight_decay": 1e-4}``, or an instance. ``python -m mlpframe list`` shows all
        components, and ``python -m mlpframe list optimizer adam`` shows the options of one.

        Args:
            hidden: the numbers of units of the hidden layers.
            activation: the layer after each hidden layer.
            init: the initializer of the weights.
            model: a model in place of the multilayer perceptron that ``hidden``, ``activation`` and ``init``
                describe, such as ``{"name": "layers", "layers": [{"name": "linear", "units": 50}, "relu",
                {"name": "dropout"}, "linear"]}``; ``None``: that perceptron.
            loss: the loss; ``None``: the loss that fits the task.
            optimizer: the optimizer.
            lr: the learning rate, more than 0; ``None``: the optimizer's default rate.
            schedule: the course of the learning rate.
            epochs: the number of passes over the rows.
            batch_size: the number of rows of a step.
            shuffle: whether the rows are in a new order in every pass.
            dtype: the type of weights and arithmetic: "float32" or "float64". ``None``: "float32" if ``X`` is
                float32 or has more than 100,000 numbers, else "float64", which is hardly slower for so few
                numbers.
            scaling: how inputs are scaled: "none", "standard" (mean 0 and standard deviation 1) or "robust"
                (median 0 and interquartile range 1, smoothly limited to −3 and 3).
            scale_target: whether a regression trains on targets of mean 0 and standard deviation 1.
                Predictions are always in the target's own unit. ``None``: true for a loss that depends only
                on the distance between prediction and target, as ``mse`` does; else false.
            missing: what happens to missing inputs (NaN): "error", "drop" (leave out the rows in training),
                "impute" (replace by the mean) or "indicate" (impute, and add an input that is 1 where the
                value was missing).
            columns: what you say about the columns of a data frame, a mapping with ``categorical``,
                ``dates``, ``keep``, ``encoding`` or ``max_categories``, as for a table on the command line;
                ``None``: the values of the columns decide how the columns are used.
            validation: rows on which the loss and the metrics are computed after every pass: a number, a
                fraction below 1, or inputs and targets ``(X, y)``. The number or the fraction is held out
                and not trained on. 0: none.
            metrics: the metrics of the validation rows, a list. Metrics that do not fit the task are not
                computed.
            callbacks: the callbacks, a list such as ``["progress", {"name": "early_stopping",
                "patience": 9}]``.
            engine: what runs the steps; "auto" takes the fastest engine.
            log_every: after every ``log_every`` steps, the mean training loss of these steps is added to the
                history as ``train/loss_window``.
            folder: where callbacks that write files, such as ``checkpoint``, write them. Nothing else writes
                files.
            random_state: the seed of the weights and of the order of the rows, a whole number, or a random
                state of NumPy. ``None``: different numbers in every fit.
        """
        self.hidden, self.activation, self.init, self.model = hidden, activation, init, model
        self.loss, self.optimizer, self.lr, self.schedule = loss, optimizer, lr, schedule
        self.epochs, self.batch_size, self.shuffle, self.dtype = epochs, batch_size, shuffle, dtype
        self.scaling, self.scale_target, self.missing, self.columns = scaling, scale_target, missing, columns
        self.validation, self.metrics, self.callbacks = validation, metrics, callbacks
        self.engine, self.log_every, self.folder = engine, log_every, folder
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network.

        Args:
            X: inputs ``(rows, features)``: an array of numbers, or a pandas data frame, whose columns may
                also hold text and dates.
            y: targets, as the class describes them.
            sample_weight: the weight of each row ``(rows,)``, at least 0; a row of weight 2 counts like two
                rows. ``None``: all rows count the same.

        Raises:
            ValueError: X, y or sample_weight are wrong.
            UsageError: a parameter is wrong, or does not fit the data.
            Diverged: a loss or a weight is no longer a finite number.
        """
        splits = self._splits(X, y, sample_weight, reset=True)
        rows_or_share = self.validation
        if isinstance(self.validation, tuple):
            X, y = self.validation
            held_out = self._splits(X, y, reset=False)
            splits, rows_or_share = replace(splits, validation=held_out.train), 0
        data = self._begin(splits, rows_or_share)
        self._train(
            data, self.epochs, _created("schedule", self.schedule), _named("callback", self.callbacks)
        )
        return self

    @property
    def loss_curve_(self) -> list[float]:
        """The mean training loss of every epoch."""
        check_is_fitted(self, FITTED)
        return self.history_.series("train/loss")[1]

    def _continue(self, splits: Splits) -> Self:
        """Train the existing network, or else a new network, for one pass over the rows."""
        if not hasattr(self, FITTED):
            data = self._begin(splits, 0)
        else:
            data = self._prepared(splits, 0, str(self.network_.dtype), encoder=self.encoder_)
            weighted = data.train.weights is not None
            if self.network_.weighted != weighted:
                self.network_ = self.network_.with_layers(self.network_.layers)
                self.network_.weighted = weighted
        self._train(data, 1, _created("schedule", "constant"), {})
        return self

    def _begin(self, splits: Splits, validation: float) -> Data:
        """Fit the encoder to the training rows, and build the network and its optimizer."""
        self._check_parameters()
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(np.iinfo(np.int32).max)
        self._streams = Streams(int(seed))
        loss: Loss = _created("loss", self.loss or DEFAULT_LOSS[splits.task])
        optimizer: Optimizer = _created("optimizer", self.optimizer)
        dtype = self.dtype or _default_dtype(splits.train.x)
        data = self._prepared(splits, validation, dtype, scale_target=loss.measures_distance)
        perceptron = {"hidden": list(self.hidden), "activation": self.activation, "init": self.init}
        network = build_network(self.model or {"name": "mlp", **perceptron}, data, loss, dtype, self._streams)
        self._updater = Updater(optimizer, network)
        self.encoder_, self.network_, self.history_, self.n_iter_ = data.encoder, network, History(), 0
        return data

    def _check_parameters(self) -> None:
        try:
            for name in ("epochs", "batch_size", "log_every"):
                check_range(name, getattr(self, name), minimum=1)
            if self.lr is not None:
                check_range("lr", self.lr, above=0)
            if self.dtype not in (None, "float32", "float64"):
                raise ValueError(f"dtype must be float32, float64 or None, not {self.dtype!r}")
        except ValueError as error:
            raise UsageError(str(error)) from error

    def _prepared(
        self,
        splits: Splits,
        validation: float,
        dtype: str,
        *,
        scale_target: bool = False,
        encoder: Encoder | None = None,
    ) -> Data:
        """Hold out, encode and scale the rows, as the parameters say."""
        try:
            rules = Preparation(
                validation=validation,
                test=0,
                split="stratified",
                scaling=self.scaling,
                scale_target=self.scale_target,
                missing=self.missing,
            )
            return load_data(
                GivenData(type(self).__name__, splits, rules),
                Path(),
                dtype,
                self._streams,
                final=False,
                scale_target=scale_target,
                weighted_encoder=True,
                encoder=encoder,
            )
        except (UsageError, ValueError) as error:
            # the message calls the parameter missing by its name on the command line, dataset.missing
            advice = str(error).replace("dataset.", "")
            raise UsageError(advice) from error

    def _train(self, data: Data, epochs: int, schedule: Schedule, callbacks: Mapping[str, Callback]) -> None:
        network, updater = self.network_, self._updater
        engine = self.engine if self.engine == "auto" else _created("engine", self.engine)
        metrics = _named("metric", self.metrics)
        trainer = Trainer(
            network=network,
            updater=updater,
            schedule=schedule,
            engine=create_engine(engine, network, updater, self.batch_size),
            data=data,
            pipeline=Pipeline({}, data.splits, self._streams),
            metrics={name: metric for name, metric in metrics.items() if data.splits.task in metric.tasks},
            callbacks=callbacks,
            tracker=NoTracker(),
            streams=self._streams,
            settings=Settings(
                updater.optimizer.default_lr if self.lr is None else self.lr,
                epochs,
                self.batch_size,
                self.log_every,
                self.shuffle,
            ),
            folder=Path(self.folder),
            title=type(self).__name__,
            about={},
        )
        for callback in callbacks.values():
            callback.check(trainer)
        before = updater.step
        with np.errstate(all="ignore"):  # the trainer checks for non-finite values itself
            errors = [error for ended in Lockstep([trainer]).run() for _, error in ended if error is not None]
        if errors:
            raise errors[0]
        for step, name, value in trainer.history.rows():
            self.history_.add(before + step, {name: value})
        self.n_iter_ += trainer.epoch

    # rows -------------------------------------------------------------------------------------------

    @abstractmethod
    def _labels(self, y: Array, classes: Any, *, reset: bool) -> Labels:
        """The targets for the network.

        Args:
            y: targets ``(rows,)`` or ``(rows, outputs)``.
            classes: all classes; ``None``: those of ``y``.
            reset: whether to store the classes in ``classes_``; else ``y`` must have the stored classes.
        """

    def _splits(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, *, reset: bool
    ) -> Splits:
        """The rows as a data set with a training part only.

        With ``reset``, store the names of the features, and the classes, in the estimator's attributes.
        """
        numeric = isinstance(self, RegressorMixin)
        if _is_frame(X):
            x = _with_text_names(X)
            validate_data(self, X, y, reset=reset, skip_check_array=True)
            y = check_array(y, ensure_2d=False, dtype="numeric" if numeric else None, input_name="y")
            check_consistent_length(x, y)
        else:
            x, y = validate_data(
                self,
                X,
                y,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_all_finite=True if self.missing == "error" else "allow-nan",
                multi_output=True,
                y_numeric=numeric,
            )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        labels = self._labels(y, classes, reset=reset)
        # joblib passes a large array to its processes as a mapped file, which is not prepared as an array is
        if Table(x, y).mapping is not None:
            x = x.copy()
        return Splits(
            Table(x, labels.y, _weights(sample_weight, len(labels.y))),
            class_names=labels.class_names,
            integer_classes=labels.integer,
            columns=_column_rules(self.columns) if _is_frame(x) else None,
        )

    def _predictions(self, X: Any) -> Array:
        """Class probabilities ``(rows, classes)``, or values ``(rows, outputs)`` in the target's unit."""
        check_is_fitted(self, FITTED)
        columns = self.encoder_.columns
        if columns is not None and _is_frame(X):
            validate_data(self, X, reset=False, skip_check_array=True)
            x = _with_text_names(X)
        else:
            imputes = columns is not None or self.missing in ("impute", "indicate")
            x = validate_data(
                self,
                X,
                reset=False,
                dtype=[np.float64, np.float32] if columns is None else None,
                ensure_all_finite="allow-nan" if imputes else True,
            )
            if columns is not None:
                x = _framed(x, [column.name for column in columns])
        inputs = self.encoder_.inputs(x)
        with self._updater.evaluated():
            outputs = self.network_.loss.predict(self.network_.outputs(inputs))
        return self.encoder_.target.unscaled(outputs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing in ("impute", "indicate")
        return tags


class MLPClassifier(ClassifierMixin, MLPEstimator):  # type: ignore[misc]
    """A multilayer perceptron that classifies, as a scikit-learn estimator.

    Targets ``y`` are classes ``(rows,)``: numbers, truth values or texts. If a row may have several classes
    (multilabel), ``y`` is ``(rows, classes)``: 1 for each class that the row has, else 0. The parameters are
    described at ``MLPClassifier.__init__``.

    Attributes:
        classes_: the classes, sorted; for multilabel their numbers.
        n_features_in_, feature_names_in_: the number of inputs; their names, if they have names.
        history_: every metric against the number of updates. ``plt.plot(*history_.series("val/loss"))``
            draws the metric ``val/loss``.
        loss_curve_: the mean training loss of every epoch.
        n_iter_: the number of epochs that were trained.
        encoder_: turns ``X`` into inputs of the network.
        network_: the trained network.
    """

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train the network of earlier calls, or else a new network, for one pass over the rows.

        The learning rate is constant, all rows are trained on, and callbacks are not called. The rows of the
        first call determine the scaling.

        Args:
            X, y, sample_weight: as for ``fit``.
            classes: all classes, needed in the first call unless ``fit`` was called; for multilabel not
                needed.
        """
        first = not hasattr(self, FITTED)
        several = np.ndim(y) == 2 and np.shape(y)[1] > 1
        if first and classes is None and not several:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if not first and classes is not None and not np.array_equal(self.classes_, np.unique(classes)):
            raise ValueError(f"classes={classes} differ from the classes of the first call: {self.classes_}")
        return self._continue(self._splits(X, y, sample_weight, classes, reset=first))

    def predict(self, X: Any) -> Array:
        """The predicted class of every row ``(rows,)``; for multilabel 0 or 1 for each class."""
        predictions = self._predictions(X)
        if not self.network_.classifies:
            return multi_hot(predictions)
        classes: Array = self.classes_[predictions.argmax(-1)]
        return classes

    def predict_proba(self, X: Any) -> Array:
        """The probabilities of the classes ``(rows, classes)``, in the order of ``classes_``.

        With a loss that has no probabilities, such as ``hinge``, these are the scores of the classes.
        """
        return self._predictions(X)

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of the probabilities ``(rows, classes)``."""
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.predict_proba(X))
        return logarithms

    def _labels(self, y: Array, classes: Any, *, reset: bool) -> Labels:
        check_classification_targets(y)
        if reset:
            self.classes_ = (
                np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y if classes is None else classes)
            )
        names, integer = tuple(map(str, self.classes_.tolist())), self.classes_.dtype.kind in "iu"
        if y.ndim == 2:
            return Labels(y, names, integer)
        numbers = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        unknown = y[self.classes_[numbers] != y]
        if len(unknown):
            raise ValueError(
                f"y has the class {unknown.tolist()[0]!r}; expected the classes {', '.join(names)}"
            )
        return Labels(numbers, names, integer)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MLPEstimator):  # type: ignore[misc]
    """A multilayer perceptron that predicts values, as a scikit-learn estimator.

    Targets ``y`` are numbers ``(rows,)`` or ``(rows, outputs)``. The parameters are described at
    ``MLPRegressor.__init__``.

    Attributes:
        n_features_in_, feature_names_in_: the number of inputs; their names, if they have names.
        history_: every metric against the number of updates. ``plt.plot(*history_.series("val/loss"))``
            draws the metric ``val/loss``.
        loss_curve_: the mean training loss of every epoch.
        n_iter_: the number of epochs that were trained.
        encoder_: turns ``X`` into inputs of the network.
        network_: the trained network.
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network of earlier calls, or else a new network, for one pass over the rows.

        The learning rate is constant, all rows are trained on, and callbacks are not called. The rows of the
        first call determine the scaling.

        Args:
            X, y, sample_weight: as for ``fit``.
        """
        return self._continue(self._splits(X, y, sample_weight, reset=not hasattr(self, FITTED)))

    def predict(self, X: Any) -> Array:
        """The predicted values ``(rows,)``, or ``(rows, outputs)`` if ``y`` has several outputs."""
        values = self._predictions(X)
        return values.ravel() if values.shape[1] == 1 else values

    def _labels(self, y: Array, classes: Any, *, reset: bool) -> Labels:
        return Labels(y.reshape(len(y), -1).astype(np.float64))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _created(kind: str, spec: Any) -> Any:
    """A component from its name or its mapping. An instance is copied, because a run may change its state."""
    component = registries[kind].create(spec)
    return deepcopy(component) if component is spec else component


def _named(kind: str, specs: Iterable[Any]) -> dict[str, Any]:
    """Create components; returns a dictionary from each component's name to the component."""
    return {component.name: component for component in (_created(kind, spec) for spec in specs)}


def _weights(sample_weight: Any, rows: int) -> Array | None:
    """Check the weights of the rows. Equal weights of all rows change nothing, so the result is ``None``."""
    if sample_weight is None:
        return None
    weights: Array = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight must have the shape ({rows},), not {weights.shape}")
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError("every sample_weight must be at least 0, and not every weight may be zero")
    return None if weights.min() == weights.max() else weights


def _column_rules(columns: Mapping[str, Any] | None) -> ColumnRules:
    """The parameter ``columns`` as ``ColumnRules``."""
    known = [field.name for field in fields(ColumnRules)]
    rules: dict[str, Any] = {}
    for name, value in (columns or {}).items():
        if name not in known:
            raise UsageError(f"columns has no entry {name!r}; {nearest(name, known)}")
        rules[name] = tuple(value) if isinstance(value, list) else value
    return ColumnRules(**rules)


def _default_dtype(x: Any) -> str:
    is_single = not _is_frame(x) and x.dtype == np.float32
    return "float32" if is_single or x.size > SMALL else "float64"


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "iloc")


def _with_text_names(frame: Any) -> Any:
    """The data frame, with every column name converted to text."""
    names = [str(name) for name in frame.columns]
    double = [name for i, name in enumerate(names) if name in names[:i]]
    if double:
        raise UsageError(f"X has several columns {double[0]!r}; give each column a name of its own")
    return frame.set_axis(names, axis=1)


def _framed(rows: Array, names: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(rows, columns=names)
