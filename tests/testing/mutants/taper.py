"""The model ``kit_taper``."""

from mlpframe.api import Model, check_range, register


@register("kit_taper")
class Taper(Model):
    """Hidden layers of given widths, and linear outputs.

    Options:
        hidden: units of the hidden layers.
    """

    def __init__(self, *, hidden: list[int] = [5, 3]) -> None:  # noqa: B006
        for units in hidden:
            check_range("hidden", units, minimum=1)
        self.hidden = hidden

    def layers(self, shapes):
        layers = []
        for units in self.hidden:
            layers += [{"name": "linear", "units": units}, "relu"]
        return [*layers, {"name": "linear", "units": shapes.outputs}]
