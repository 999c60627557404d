"""Time several contenders fairly: they take turns in one process and are compared round by round."""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import click

from mlpframe.machine import processors

THREADS = click.IntRange(1, processors())
"""The type of the option ``--threads``: from 1 to the number of processors of this machine."""


@dataclass(frozen=True)
class Contender:
    """A program that is timed: ``run(n)`` does ``n * unit`` steps."""

    run: Callable[[int], object]
    unit: int = 1


def repeated(call: Callable[[], object]) -> Contender:
    """A contender whose step is one call of the function."""

    def run(number: int) -> None:
        for _ in range(number):
            call()

    return Contender(run)


@dataclass(frozen=True)
class Times:
    """The seconds that a step took, for every contender and in every round."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, to: str) -> float:
        """The median, over the rounds, of the time of ``name`` ÷ the time of ``to`` in the same round.

        Other load on the machine slows both contenders of a round, so it cancels.
        """
        pairs = zip(self.seconds[name], self.seconds[to], strict=True)
        return statistics.median(a / b for a, b in pairs)


def interleaved(
    contenders: Mapping[str, Contender], *, rounds: int = 15, round_seconds: float = 0.15
) -> Times:
    """Time contenders in turn: in each round, every contender runs once for about ``round_seconds`` seconds.

    The order rotates from round to round.
    """
    gc.collect()
    gc.freeze()  # with PyTorch and JAX loaded, a full collection takes longer than a turn
    steps: dict[str, int] = {}
    for name, contender in contenders.items():
        contender.run(1)  # the first call compiles and fills caches
        number, seconds = 1, _timed(contender, 1)
        while seconds < round_seconds / 4:
            number *= 2
            seconds = _timed(contender, number)
        steps[name] = max(1, round(number * round_seconds / seconds))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        for i in range(len(names)):
            name = names[(i + turn) % len(names)]
            contender, number = contenders[name], steps[name]
            times[name].append(_timed(contender, number) / (number * contender.unit))
    gc.unfreeze()
    return Times(times)


def _timed(contender: Contender, number: int) -> float:
    gc.collect()
    began = time.perf_counter()
    contender.run(number)
    return time.perf_counter() - began


def apart(threads: int, function: Callable[..., None], *arguments: object) -> None:
    """Call a module's function in a new process that may use ``threads`` processors from its start.

    BLAS, OpenMP and XLA count the processors when they are loaded, and keep that number of threads. So the
    number of processors must be limited before these libraries are imported.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), _limit, (threads,)) as pool:
        pool.submit(function, *arguments).result()


def _limit(threads: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
