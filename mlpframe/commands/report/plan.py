"""The runs that the command ``report`` makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RATES = ("0.1", "0.03", "0.01", "0.003", "0.001", "0.0001")
"""The learning rates of question 7.3."""


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        part: the part of the report that uses the run's results.
        label: distinguishes the run from the other runs of the part.
        seed: the run's seed.
        overrides: the experiment and its settings.
    """

    part: str
    label: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the run's folder."""
        return "-".join(filter(None, (self.part, self.label, f"seed{self.seed}")))


@dataclass(frozen=True)
class Size:
    """The size of the experiments.

    Args:
        seeds: number of runs for each part that needs more than one run.
        many_seeds: number of runs for the part whose data are points in the plane.
        synth, mnist: overrides of the experiments on points in the plane, and of the experiments on images.
        single, batches: overrides of the experiments that train on single examples, and on batches.
        windows: overrides that set over how many updates each loss in the history is averaged.
        rule: overrides that set over how many updates the schedule averages the losses that it compares.
        no_validation: overrides of the experiments without a validation part.
    """

    seeds: int
    many_seeds: int
    synth: tuple[str, ...] = ()
    mnist: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    no_validation: tuple[str, ...] = ()


FULL = Size(seeds=3, many_seeds=8)
QUICK = Size(
    seeds=2,
    many_seeds=1,
    synth=("dataset.num_train=3000", "dataset.num_val=500"),
    mnist=("dataset=digits", "dataset.split=last", "model.hidden=[30]"),
    single=("epochs=2",),
    batches=("epochs=4",),
    windows=("log_every=20",),
    rule=("schedule.update_step=200",),
    no_validation=("dataset.validation=0",),
)
"""The same experiments on scikit-learn's small digits, which produce the page in less than a minute."""


def jobs(*, quick: bool) -> list[Job]:
    """All runs of the report, the longest first."""
    size = QUICK if quick else FULL
    return sorted(_jobs(size), key=lambda job: job.part not in ("q6", "q5", "q5_stepwise"))


def _jobs(size: Size) -> Iterator[Job]:
    def part(name: str, experiment: str, seeds: int, *more: Sequence[str], label: str = "") -> Iterator[Job]:
        own = (f"experiment=report/{experiment}", *(override for group in more for override in group))
        for seed in range(seeds):
            yield Job(name, label, seed, (*own, f"seed={seed}"))

    image, seeds = size.mnist, size.seeds
    yield from part("q3", "q3_by_hand", 1)
    yield from part("q4", "q4_synthetic_sgd", size.many_seeds, size.synth)
    yield from part(
        "q5", "q5_mnist_sgd", seeds, image, size.no_validation, size.single, size.windows, size.rule
    )
    stepwise = ("engine=numpy", "epochs=1")
    yield from part(
        "q5_stepwise", "q5_mnist_sgd", seeds, image, size.no_validation, size.windows, size.rule, stepwise
    )
    yield from part("q6", "q6_mnist_minibatch", seeds, image, size.no_validation, size.batches, size.windows)
    yield from part("q7_1", "q7_1_validation", 1, image, size.single, size.windows)
    yield from part("q7_2", "q7_2_seeds", seeds, image, size.single, size.windows, size.rule)
    for rate in RATES:
        lr = (f"lr={rate}",)
        yield from part(
            "q7_3", "q7_3_learning_rates", seeds, image, size.single, size.windows, lr, label=f"lr{rate}"
        )
    yield from part("q7_4", "q7_4_final", seeds, image, size.single, size.windows)
    yield from part("test", "q7_4_final", seeds, image, size.single, size.windows, ("final=true",))
