"""The callback ``kit_watch``."""

from mlpframe.api import Callback, check_range, register


@register("kit_watch")
class Watch(Callback):
    """Remembers the losses of the epochs.

    Options:
        most: the number of losses to remember, at least 1.
    """

    def __init__(self, *, most: int = 10) -> None:
        check_range("most", most, minimum=1)
        self.most = most
        self._losses = []

    def on_epoch(self, run):
        self._losses.append(run.latest["train/loss"])
        del self._losses[: -self.most]

    def state(self):
        return {"losses": list(self._losses)}

    def restore(self, state):
        self._losses = list(state["losses"])
