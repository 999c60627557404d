"""The schedule ``plateau``."""

from __future__ import annotations

from math import inf, isfinite

from mlpframe.api import Schedule, check_range, register


@register("plateau")
class Plateau(Schedule):
    """The rate falls when the validation loss has stopped falling.

    factor ← max(γ · factor, minimum)  once more than ``patience`` epochs in a row have had no
    loss < (1 − threshold) · best

    Then the count of epochs starts again at 0. The conventions are those of PyTorch's ReduceLROnPlateau with
    mode=min, threshold_mode=rel and cooldown=0: patience 0 lowers the rate after the first epoch
    without an improvement. A loss that is not finite is no improvement.

    Options:
        gamma: γ, the fraction of the rate that is left after each fall, above 0 and below 1.
        patience: number of epochs in a row without an improvement that do not yet lower the rate, at least 0.
        threshold: the share by which a loss must be below the best loss to count as an improvement, at
          least 0 and below 1.
        minimum: the factor never falls below this, at least 0 and at most 1.

    Source: Paszke et al. 2019, "PyTorch: An imperative style, high-performance deep learning library".
    """

    observes = "epoch"

    def __init__(
        self, *, gamma: float = 0.1, patience: int = 5, threshold: float = 1e-4, minimum: float = 0.0
    ) -> None:
        check_range("gamma", gamma, above=0, below=1)
        check_range("patience", patience, minimum=0)
        check_range("threshold", threshold, minimum=0, below=1)
        check_range("minimum", minimum, minimum=0, maximum=1)
        self.gamma, self.patience, self.threshold, self.minimum = gamma, patience, threshold, minimum
        self._factor, self._best, self._bad_epochs = 1.0, inf, 0

    def factor(self, step: int, total_steps: int) -> float:
        return self._factor

    def observe(self, value: float) -> None:
        if isfinite(value) and value < self._best * (1 - self.threshold):
            self._best, self._bad_epochs = value, 0
            return
        self._bad_epochs += 1
        if self._bad_epochs > self.patience:
            self._factor = max(self._factor * self.gamma, self.minimum)
            self._bad_epochs = 0

    def state(self) -> dict[str, float]:
        state: dict[str, float] = {"factor": self._factor, "bad_epochs": self._bad_epochs}
        if self._best < inf:  # while there is no best loss, the key is left out: JSON has no infinity
            state["best"] = self._best
        return state

    def restore(self, state: dict[str, float]) -> None:
        self._factor, self._bad_epochs = state["factor"], int(state["bad_epochs"])
        self._best = state.get("best", inf)
