"""Train one run, or several runs in lockstep: every step is the same step of all runs.

Runs that differ only in seed and learning rate have the same shapes at every step. Their parameters are
stacked, so one call of NumPy computes a matrix product for all runs. In small networks, calls take longer
than their arithmetic, and eight runs take little longer than one run. Each run gives the same results as it
would alone, up to rounding.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from ..api import Block, Losses
from .engines import create_engine
from .network import Network
from .optim import Updater
from .trainer import Interrupted, Steps, Trainer

Ended = tuple[Trainer, BaseException | None]


class Lockstep:
    """Trains runs together, one block of batches after another, until the last run has ended.

    Args:
        trainers: the runs. Several runs must have the same configuration except for seed and learning rate,
            and the same number of steps done.
        engine: the name of the engine for several runs; a single run uses its own engine.

    Raises:
        UsageError: the engine cannot run several networks at once, or a layer draws random numbers while
            training.
    """

    def __init__(self, trainers: Sequence[Trainer], engine: str = "auto") -> None:
        self._engine = engine
        self._trainers = list(trainers)
        self._updater = trainers[0].updater
        if len(trainers) > 1:
            self._stack()

    def _stack(self) -> None:
        """Stack the networks of the remaining runs. The runs' own networks become views into the stack."""
        trainers = self._trainers
        network = Network.stacked([trainer.network for trainer in trainers])
        self._updater = Updater.stacked([trainer.updater for trainer in trainers], network)
        engine = create_engine(self._engine, network, self._updater, trainers[0].settings.batch_size)
        for trainer in trainers:
            trainer.engine = engine

    def run(self) -> Iterator[list[Ended]]:
        """Train. Yields the runs that have just ended, each with its error (``None``: without an error)."""
        runs = {trainer: trainer.run() for trainer in self._trainers}
        sent: dict[Trainer, tuple[Losses, float] | None] = dict.fromkeys(runs)
        while runs:
            blocks: list[Block] = []
            ended: list[Ended] = []
            for trainer, run in runs.items():
                try:
                    answer = sent[trainer]
                    blocks.append(next(run) if answer is None else run.send(answer))
                except (StopIteration, Exception, Interrupted) as error:
                    ended.append((trainer, None if isinstance(error, StopIteration) else error))
            if ended:
                yield ended
                for trainer, _ in ended:
                    del runs[trainer]
                self._trainers = list(runs)
            if runs:
                try:
                    if ended:
                        self._stack()
                    sent.update(self._advance(blocks))
                except BaseException as error:
                    yield self._end_all(runs, error)
                    return

    def _advance(self, blocks: list[Block]) -> dict[Trainer, tuple[Losses, float]]:
        began = time.perf_counter()
        losses = self._trainers[0].engine.advance(blocks)
        seconds = time.perf_counter() - began
        for trainer in self._trainers:
            trainer.updater.step = self._updater.step
        return {
            trainer: (run_losses, seconds) for trainer, run_losses in zip(self._trainers, losses, strict=True)
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
