"""The schedule ``warmup``."""

from __future__ import annotations

from mlpframe.api import Schedule, Spec, check_range, register, registries


@register("warmup")
class Warmup(Schedule):
    """The rate climbs linearly to the first rate of another schedule. Then that schedule takes over.

    factor = (step + 1) / steps · then(0)  for step < steps,  then(step − steps)  from there on

    For the schedule that takes over, the run has total_steps − steps updates. If that schedule observes the
    loss, it does so from the first update of the run on.

    Options:
        steps: number of updates during which the rate climbs, at least 1.
        then: the schedule that takes over, a name or a mapping with name and options.

    Source: Goyal et al. 2017, "Accurate, large minibatch SGD: Training ImageNet in 1 hour".
    """

    def __init__(self, *, steps: int = 1000, then: Spec = "constant") -> None:
        check_range("steps", steps, minimum=1)
        self.steps = steps
        self.then: Schedule = registries["schedule"].create(then)
        self.observes = self.then.observes  # depends on the other schedule
        self.window = self.then.window

    def factor(self, step: int, total_steps: int) -> float:
        steps_after_warmup = max(total_steps - self.steps, 1)  # the climb may be longer than the run
        if step >= self.steps:
            return self.then.factor(step - self.steps, steps_after_warmup)
        return (step + 1) / self.steps * self.then.factor(0, steps_after_warmup)

    def observe(self, value: float) -> None:
        self.then.observe(value)

    def state(self) -> dict[str, float]:
        return self.then.state()

    def restore(self, state: dict[str, float]) -> None:
        self.then.restore(state)
