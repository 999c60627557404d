"""The transform ``kit_blend``."""

from mlpframe.api import Transform, check_range, register


@register("kit_blend")
class Blend(Transform):
    """Mixes every row and its target with another row.

    x ← (1 − share) x + share x′ for a row x′ of the block, y likewise

    Options:
        share: the share of the other row, at least 0 and at most 1.
    """

    needs_images = False
    mixes = True

    def __init__(self, *, share: float = 0.3) -> None:
        check_range("share", share, minimum=0, maximum=1)
        self.share = share

    def apply(self, x, y, rng):
        order = rng.permutation(len(x))
        keep = 1 - self.share
        return keep * x + self.share * x[order], keep * y + self.share * y[order]
