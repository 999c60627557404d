"""Which runs the report consists of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RATES = ("0.1", "0.03", "0.01", "0.003", "0.001", "0.0001")
"""Those of question 7.3."""


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        part: of the report: what its results are looked up by.
        label: what tells it from the other runs of the part.
        seed: of the run.
        overrides: the experiment and what is set in it.
    """

    part: str
    label: str
    seed: int
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its folder."""
        return "-".join(filter(None, (self.part, self.label, f"seed{self.seed}")))


@dataclass(frozen=True)
class Size:
    """How much is run.

    Args:
        seeds: runs of the parts that one run does not answer; of the points of the plane ``many_seeds``.
        synth, mnist: overrides of the experiments on the points of the plane, and of those on images.
        single, batches: overrides of those that train on single examples, and on batches.
        windows, rule: how long a window of the loss is, for the record and for the rule.
        whole: overrides of those that train without validation.
    """

    seeds: int
    many_seeds: int
    synth: tuple[str, ...] = ()
    mnist: tuple[str, ...] = ()
    single: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    rule: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()


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
    whole=("dataset.validation=0",),
)
"""The same on scikit-learn's small digits, to see the page in less than a minute."""


def jobs(*, quick: bool) -> list[Job]:
    """All runs of the report, those that take longest first."""
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
    yield from part("q5", "q5_mnist_sgd", seeds, image, size.whole, size.single, size.windows, size.rule)
    stepwise = ("engine=numpy", "epochs=1")
    yield from part(
        "q5_stepwise", "q5_mnist_sgd", seeds, image, size.whole, size.windows, size.rule, stepwise
    )
    yield from part("q6", "q6_mnist_minibatch", seeds, image, size.whole, size.batches, size.windows)
    yield from part("q7_1", "q7_1_validation", 1, image, size.single, size.windows)
    yield from part("q7_2", "q7_2_seeds", seeds, image, size.single, size.windows, size.rule)
    for rate in RATES:
        lr = (f"lr={rate}",)
        yield from part(
            "q7_3", "q7_3_learning_rates", seeds, image, size.single, size.windows, lr, label=f"lr{rate}"
        )
    yield from part("q7_4", "q7_4_final", seeds, image, size.single, size.windows)
    yield from part("test", "q7_4_final", seeds, image, size.single, size.windows, ("final=true",))
