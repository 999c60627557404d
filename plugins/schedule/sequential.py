"""The schedule ``sequential``."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from mlpframe.api import Schedule, check_range, register, registries


@register("sequential")
class Sequential(Schedule):
    """One schedule after another.

    factor = partₙ(step − atₙ, atₙ₊₁ − atₙ)  for atₙ ≤ step < atₙ₊₁,  with at₀ = 0

    Each part counts its updates from 0 and treats its own updates as the whole run; the last part ends with
    the run. The rate may jump between two parts, because each part begins with its own first factor.

    A part that observes the loss does so from the first update of the run on, as with ``warmup``, because an
    observed loss does not say which update it belongs to. All parts that observe must observe the same:
    windows of one length, or epochs.

    Options:
        parts: the schedules in order, each a name or a mapping with name and options; at least one.
        at: the updates at which the next part takes over, at least 1, in rising order; one number fewer than
          there are parts.
    """

    def __init__(
        self,
        *,
        parts: list[Any] = ["constant", "cosine"],  # noqa: B006
        at: list[int] = [1000],  # noqa: B006
    ) -> None:
        if len(parts) != len(at) + 1:
            raise ValueError(f"at must have one number fewer than the {len(parts)} parts, not {len(at)}")
        for step in at:
            check_range("at", step, minimum=1)
        if any(left >= right for left, right in pairwise(at)):
            raise ValueError(f"at must be in rising order, not {list(at)}")
        self.parts: list[Schedule] = [registries["schedule"].create(part) for part in parts]
        self.at = list(at)
        self._observing = {str(n): part for n, part in enumerate(self.parts) if part.observes != "nothing"}
        if self._observing:
            first, *more_parts = self._observing.values()
            if any((part.observes, part.window) != (first.observes, first.window) for part in more_parts):
                raise ValueError("all parts that observe must observe epochs, or windows of the same length")
            self.observes, self.window = first.observes, first.window  # these depend on the parts

    def factor(self, step: int, total_steps: int) -> float:
        return self.factors(step, step + 1, total_steps)[0]

    def factors(self, start: int, stop: int, total_steps: int) -> Sequence[float]:
        factors: list[float] = []
        while start < stop:
            n = bisect_right(self.at, start)
            begin = self.at[n - 1] if n else 0
            last = n == len(self.at)
            end = max(total_steps, begin + 1) if last else self.at[n]
            upto = stop if last else min(stop, end)
            factors.extend(self.parts[n].factors(start - begin, upto - begin, end - begin))
            start = upto
        return factors

    def observe(self, value: float) -> None:
        for part in self._observing.values():
            part.observe(value)

    def state(self) -> dict[str, float]:
        states = {n: part.state() for n, part in self._observing.items()}
        return {f"{n}.{name}": value for n, state in states.items() for name, value in state.items()}

    def restore(self, state: dict[str, float]) -> None:
        for n, part in self._observing.items():
            keys = {key: key.removeprefix(f"{n}.") for key in state if key.startswith(f"{n}.")}
            part.restore({name: state[key] for key, name in keys.items()})
