"""Train one run, or several runs in lockstep: every step is the same step of all runs.

Runs that differ only in seed and learning rate have the same shapes at every step. Their parameters are
stacked, so one call computes a matrix product for all runs. If calls cost more than arithmetic, eight runs
take little longer than one run. Each run gives the same results as it would alone, up to rounding, and the
same bits in every stack: the other runs of a stack change nothing. So a run of a stack that is continued,
alone or with others, is again part of a stack, which may consist of this run alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..api import Block, Losses
from .engines import create_engine
from .network import Network
from .optim import Updater
from .trainer import Interrupted, Steps, Trainer

Ended = tuple[Trainer, BaseException | None]
STACKED = "stacked"
"""The key in ``Trainer.about`` of a run that is part of a stack. Its value is ``Block.own_rates``."""


class Lockstep:
    """Trains runs together, one block of batches after another, until the last run has ended.

    Args:
        trainers: the runs. Several runs must have the same configuration except for seed and learning rate.
            Runs that have done more steps than others wait until the others have done as many.
        engine: the name of the engine for several runs; a single run uses its own engine.

    Raises:
        UsageError: the engine cannot run several networks at once, or a layer draws random numbers while
            training.
    """

    def __init__(self, trainers: Sequence[Trainer], engine: str = "auto") -> None:
        self._engine = engine
        self._trainers = list(trainers)
        self._updater = trainers[0].updater
        before = [trainer.about[STACKED] for trainer in trainers if STACKED in trainer.about]
        stacks = len(trainers) > 1 or bool(before)
        self._own_rates: bool = before[0] if before else stacks and _have_own_rates(trainers)
        self._together = [] if stacks else self._trainers
        for trainer in trainers if stacks else ():
            trainer.about[STACKED] = self._own_rates
        self._stack(self._trainers)  # refuses what cannot be stacked

    def _stack(self, trainers: list[Trainer]) -> None:
        """Stack the networks of runs that advance together. These networks become views into the stack."""
        if trainers == self._together:
            return
        self._together = trainers
        network = Network.stacked([trainer.network for trainer in trainers])
        self._updater = Updater.stacked([trainer.updater for trainer in trainers], network)
        engine = create_engine(self._engine, network, self._updater, trainers[0].settings.batch_size)
        for trainer in trainers:
            trainer.engine = engine

    def run(self) -> Iterator[list[Ended]]:
        """Train. Yields the runs that have just ended, each with its error (``None``: without an error)."""
        runs = {trainer: trainer.run() for trainer in self._trainers}
        answers: dict[Trainer, tuple[Losses, float] | None] = dict.fromkeys(runs)
        blocks: dict[Trainer, Block] = {}
        while runs:
            ended: list[Ended] = []
            for trainer, answer in answers.items():
                run = runs[trainer]
                try:
                    blocks[trainer] = next(run) if answer is None else run.send(answer)
                except (StopIteration, Exception, Interrupted) as error:
                    ended.append((trainer, None if isinstance(error, StopIteration) else error))
            if ended:
                yield ended
                for trainer, _ in ended:
                    del runs[trainer]
            if runs:
                first_step = min(trainer.step for trainer in runs)
                try:
                    self._stack([trainer for trainer in runs if trainer.step == first_step])
                    turn = [replace(blocks[t], own_rates=self._own_rates) for t in self._together]
                    answers = dict(self._advance(turn))
                except BaseException as error:
                    yield self._end_all(runs, error)
                    return

    def _advance(self, blocks: list[Block]) -> dict[Trainer, tuple[Losses, float]]:
        began = time.perf_counter()
        losses = self._together[0].engine.advance(blocks)
        seconds = time.perf_counter() - began
        for trainer in self._together:
            trainer.updater.step = self._updater.step
        return {
            trainer: (run_losses, seconds) for trainer, run_losses in zip(self._together, losses, strict=True)
        }

    @staticmethod
    def _end_all(runs: Mapping[Trainer, Steps], error: BaseException) -> list[Ended]:
        """In every run, raise the error that ends all runs; returns the runs with their errors."""
        ended: list[Ended] = []
        for trainer, run in runs.items():
            try:
                run.throw(error)
            except Exception as final_error:
                ended.append((trainer, final_error))
        return ended


def _have_own_rates(trainers: Sequence[Trainer]) -> bool:
    """Whether the learning rates of the runs differ, or may differ later."""
    return len({t.settings.lr for t in trainers}) > 1 or trainers[0].schedule.observes != "nothing"
