"""The metric ``kit_answers``."""

from mlpframe.api import Metric, multi_hot, register


@register("kit_answers")
class Answers(Metric):
    """The share of right answers over rows and classes.

    answers = mean over rows and classes j of [[p_j > 0.5] = t_j]
    """

    tasks = ("multilabel",)

    def compute(self, prediction, target):
        return float((multi_hot(prediction) == target).mean())
