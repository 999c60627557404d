"""Named random streams: all randomness of a run, from its one seed."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


class Streams:
    """Independent random generators by name, so that a new user of random numbers changes no other stream.

    The stream of a name is ``SeedSequence(seed, spawn_key=SHA-256(name))``: the stream depends on the seed
    and the name alone, never on the order in which streams are used.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        if name not in self._streams:
            self._streams[name] = self._generator(name)
        return self._streams[name]

    def at(self, name: str, step: int) -> np.random.Generator:
        """A new stream for one step of a run. It depends only on the seed, the name and the step."""
        return self._generator(name, step)

    def _generator(self, name: str, *more: int) -> np.random.Generator:
        digest = hashlib.sha256(name.encode()).digest()
        key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        sequence = np.random.SeedSequence(self.seed, spawn_key=(*key, *more))
        return np.random.Generator(np.random.PCG64(sequence))

    def state(self) -> dict[str, Any]:
        """The state of every stream used so far, as plain numbers."""
        return {name: stream.bit_generator.state for name, stream in self._streams.items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Set every stream to a state that ``state()`` returned."""
        for name, value in state.items():
            self[name].bit_generator.state = value
