"""Random streams: the numbers of a stream depend only on the seed and the name of the stream."""

from __future__ import annotations

import hashlib
import json
import struct
from itertools import combinations

import numpy as np
import pytest

from mlpframe.training.rng import Streams

NAMES = ("init", "shuffle", "split", "dataset", "layer 0.linear.")


def test_the_same_seed_and_name_draw_the_same_numbers() -> None:
    for name in NAMES:
        np.testing.assert_array_equal(Streams(7)[name].normal(size=100), Streams(7)[name].normal(size=100))


def test_a_stream_is_seeded_with_the_seed_and_the_digest_of_its_name() -> None:
    # fixed here, so that every later version repeats the same runs
    words = struct.unpack("<4I", hashlib.sha256(b"shuffle").digest()[:16])
    expected = np.random.Generator(np.random.PCG64(np.random.SeedSequence(7, spawn_key=words)))
    np.testing.assert_array_equal(Streams(7)["shuffle"].permutation(1000), expected.permutation(1000))


def test_neither_the_order_of_use_nor_other_consumers_matter() -> None:
    alone = {name: Streams(3)[name].integers(2**63, size=50) for name in NAMES}
    together = Streams(3)
    drawn: dict[str, list[int]] = {name: [] for name in NAMES}
    for i in range(50):  # in turn, in a new order every time, with another stream in between
        for name in np.roll(NAMES, i):
            drawn[name].append(int(together[name].integers(2**63)))
        together[f"newcomer {i}"].normal(size=i)
    for name in NAMES:
        assert drawn[name] == alone[name].tolist()


def test_a_stream_continues_where_the_last_draw_ended() -> None:
    streams = Streams(0)
    first, second = streams["init"].normal(size=10), streams["init"].normal(size=10)
    np.testing.assert_array_equal(np.concatenate([first, second]), Streams(0)["init"].normal(size=20))


def test_different_names_and_seeds_draw_different_numbers() -> None:
    n = 10_000
    drawn = {(seed, name): Streams(seed)[name].normal(size=n) for seed in (0, 1, 2**64) for name in NAMES}
    for first, second in combinations(drawn.values(), 2):
        correlation = first @ second / n
        # the correlation of independent numbers is N(0, 1/n), of equal numbers 1
        assert abs(correlation) < 6 / np.sqrt(n)


def test_a_thousand_names_give_a_thousand_streams() -> None:
    streams = Streams(0)
    assert len({int(streams[f"layer {i}"].integers(2**63)) for i in range(1000)}) == 1000


def test_the_global_generator_is_neither_used_nor_changed() -> None:
    np.random.seed(1)  # noqa: NPY002
    first = Streams(0)["init"].normal(size=5)
    after = np.random.random()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    assert after == np.random.random()  # noqa: NPY002
    np.testing.assert_array_equal(first, Streams(0)["init"].normal(size=5))


@pytest.mark.parametrize("halves", [0, 1])
def test_the_state_of_the_streams_survives_json(halves: int) -> None:
    streams = Streams(11)
    streams["init"].normal(size=7)
    # the generator draws 64 bits and keeps half of them
    streams["shuffle"].integers(10, size=halves, dtype=np.uint32)
    assert streams.state()["shuffle"]["has_uint32"] == halves
    written = json.dumps(streams.state())
    expected = {name: streams[name].integers(10, size=20, dtype=np.uint32) for name in ("init", "shuffle")}

    restored = Streams(11)
    restored["init"].normal(size=100)  # ``restore`` must forget these draws
    restored.restore(json.loads(written))
    for name, numbers in expected.items():
        np.testing.assert_array_equal(restored[name].integers(10, size=20, dtype=np.uint32), numbers)
    # an unused stream starts at its beginning
    np.testing.assert_array_equal(restored["split"].normal(size=5), Streams(11)["split"].normal(size=5))


def test_the_state_contains_only_the_used_streams() -> None:
    streams = Streams(0)
    assert streams.state() == {}
    streams["init"].normal()
    assert list(streams.state()) == ["init"]
