"""The engine ``online``: exact SGD for very small batches at the speed of matrix products.

With batches of one, a step is a matrix-vector product and a rank-one update, and reading and writing the
first weight matrix W bounds it. But the inputs X of the coming steps are known. Let Δ_s be ∂l_s/∂(first
pre-activation) at step s. Where the optimizer is linear in the gradients, W and its state at step t are a
known linear function of those at the start of the block and of the Δ_s so far, so

    X_t W_t = Σ_i φ_{t,i} X_t Z_i + Σ_{s<t} k_{t,s} (X_t X_sᵀ) Δ_s,

where Z_0 = W, Z_1, … are the weights and optimizer state at the start. For plain SGD this is
X_t W − Σ_{s<t} η_s (X_t X_sᵀ) Δ_s. The products X Z_i and X Xᵀ are one matrix product each for a whole
block; step by step only a small sum over the Δ_s so far is left, and the remaining, small layers. After
the block, Z_j ← Σ_i Φ_{j,i} Z_i + Xᵀ (κ_j ∘ Δ). These are the iterates of step-by-step SGD, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import Array, Block, Engine, Losses, register
from ..network import Network, Plan
from ..optim import Recurrence, Updater

BLOCK_ROWS = 64
"""Rows of a block: more make the products faster, and the sum over the steps so far slower."""
MOST_ROWS = 8
"""Rows of a batch up to which it is faster than the engine ``numpy`` (``benchmarks engines``)."""


class Unrolled:
    """A linear recurrence z ← A_t z + B_t g_t over a block of steps, solved for z's first component.

    Args:
        steps: A_t, ``(n, n)``, and B_t, ``(n,)``, of each step.
        size: rows of a batch; what belongs to a step stands here once for each row.
        dtype: of the arrays.

    Attributes:
        start: φ: for each component of z at the start, its share of the first component before each step,
            ``(rows, 1)``.
        inputs: k, ``(rows, rows)``: the share of g_s in it, zero unless s < t.
        end: Φ, ``(n, n)``, and ``end_inputs``: κ, for each component ``(rows, 1)``: z after the block.
    """

    def __init__(self, steps: Sequence[Recurrence], size: int, dtype: np.dtype[Any]) -> None:
        n, count = len(steps[0][1]), len(steps)
        start, inputs = np.empty((count, n)), np.zeros((count, count))
        phi, impulses = np.eye(n), np.zeros((count, n))
        if n == 1 and all(A[0, 0] == 1 for A, _ in steps):  # plain SGD: g_s counts the same ever after
            start[:], impulses[:] = 1, [B for _, B in steps]
            inputs[:] = np.tril(np.broadcast_to(impulses[:, 0], inputs.shape), -1)
        else:
            for t, (A, B) in enumerate(steps):
                start[t], inputs[t] = phi[0], impulses[:, 0]
                phi = A @ phi
                impulses[:t] = impulses[:t] @ A.T
                impulses[t] = B
        self.start = [column.repeat(size).astype(dtype)[:, None] for column in start.T]
        self.inputs = inputs.repeat(size, 0).repeat(size, 1).astype(dtype)
        self.end = phi.astype(dtype)
        self.end_inputs = [column.repeat(size).astype(dtype)[:, None] for column in impulses.T]


class Batches:
    """A block of ``count`` batches of one size, bound once: arrays, and a plan of the head for each step.

    The row of a step holds, in ``z``, its first pre-activation as far as the block's start determines
    it; the step adds the share of the steps before, and leaves its Δ there.
    """

    def __init__(self, network: Network, size: int, count: int) -> None:
        rows, width, dtype = size * count, network.widths[1], network.dtype
        self.size, self.count = size, count
        self.x = np.zeros((rows, network.n_in), dtype)
        self.z, self.products = np.zeros((rows, width), dtype), np.zeros((rows, width), dtype)
        self.weights = np.zeros((rows, rows), dtype)
        self.target = np.zeros((rows, *network.target_shape), network.target_dtype)
        pre = np.zeros((size, width), dtype)
        self.sums: list[tuple[Array, Array, Array]] = []
        self.heads: list[Plan] = []
        for start in range(0, rows, size):
            own = slice(start, start + size)
            weights, z = self.weights[own, : own.stop], self.z[: own.stop]
            if size == 1:  # np.dot of vectors costs half of a product of matrices with one row
                self.sums.append((weights[0], z, pre[0]))
            else:
                self.sums.append((weights, z, pre))
            ctx = network.context(training=True)
            self.heads.append(network.bind(pre, self.z[own], self.target[own], ctx, first=1))


@register("online")
class OnlineEngine(Engine):
    """Exact SGD for very small batches, by blocks of known inputs; the first layer must be linear."""

    def refuses(self, network: Network, updater: Updater) -> str | None:
        if network.layers[0].name != "linear":
            return f"its first layer is {network.layers[0].name}, not linear"
        if updater.rules.clip_norm is not None:
            return "clipping needs the whole gradient of every step"
        if updater.recurrence(1.0, decay=True) is None:
            return f"the update of {updater.optimizer.name} is not linear in the gradients"
        return None

    def suits(self, network: Network, batch_size: int) -> bool:
        return batch_size <= MOST_ROWS

    def bind(self, network: Network, updater: Updater) -> None:
        self._network = network
        first = [slot for slot in network.slots if slot.name.startswith(network.prefix(0))]
        vectors = [network.w, *updater.slots.values()]
        views = [network.views(vector) for vector in vectors]
        self._weights = [view[first[0].name] for view in views]
        self._biases = [view[first[1].name] for view in views] if len(first) > 1 else []
        self._next = [np.empty_like(self._weights[0]) for _ in vectors]
        self._one = np.array(1, network.dtype)
        self._update_head = updater.tail(len(first))
        self._bound: dict[int, Batches] = {}

        @lru_cache(maxsize=64)  # a rate that stays, or changes slowly, is unrolled once
        def unroll(lrs: tuple[float, ...], size: int) -> tuple[Unrolled, Unrolled]:
            decayed, plain = (
                [step for lr in lrs if (step := updater.recurrence(lr, decay=decay)) is not None]
                for decay in (True, False)
            )
            vector = Unrolled(plain, size, network.dtype)
            decays = updater.rules.weight_decay > 0
            return Unrolled(decayed, size, network.dtype) if decays else vector, vector

        self._unroll: Callable[[tuple[float, ...], int], tuple[Unrolled, Unrolled]] = unroll

    def advance(self, block: Block) -> Losses:
        losses = Losses()
        size, lrs = block.batch_size, block.lrs
        whole = len(block.rows) // size
        count = max(1, BLOCK_ROWS // size)
        for start in range(0, whole, count):
            stop = min(start + count, whole)
            self._advance(block, block.rows[start * size : stop * size], size, tuple(lrs[start:stop]), losses)
        rest = block.rows[whole * size :]
        if len(rest):  # the last batch of an epoch
            self._advance(block, rest, len(rest), tuple(lrs[whole:]), losses)
        return losses

    def _advance(
        self, block: Block, rows: NDArray[np.intp], size: int, lrs: tuple[float, ...], losses: Losses
    ) -> None:
        if size not in self._bound:
            self._bound[size] = Batches(self._network, size, max(1, BLOCK_ROWS // size))
        batches = self._bound[size]
        n = len(rows)
        x, target = batches.x[:n], batches.target[:n]
        block.table.x.take(rows, 0, x, "clip")
        block.table.y.take(rows, 0, target, "clip")
        matrix, vector = self._unroll(lrs, size)
        self._start(batches, n, matrix, vector)

        update, classes = self._update_head, target.ndim == 1
        values, correct = losses.values, 0
        for (weights, so_far, pre), head, lr in zip(batches.sums, batches.heads, lrs, strict=False):
            np.dot(weights, so_far, pre)
            values.append(head.step())
            update(lr)
            if size == 1 and classes:
                correct += int(head.output.argmax() == head.target.item())
            elif classes:
                correct += int(np.count_nonzero(head.output.argmax(1) == head.target))
        losses.correct += correct
        self._end(batches, n, matrix, vector)

    def _start(self, batches: Batches, n: int, matrix: Unrolled, vector: Unrolled) -> None:
        """Fill ``z`` with what is known of the pre-activations, and ``weights`` with the shares k ∘ X Xᵀ."""
        x, z, products = batches.x[:n], batches.z[:n], batches.products[:n]
        weights = batches.weights[:n, :n]
        np.dot(x, self._weights[0], z)
        if len(self._weights) > 1 or matrix is not vector:
            np.multiply(z, matrix.start[0], z)
        for array, start in zip(self._weights[1:], matrix.start[1:], strict=True):
            np.dot(x, array, products)
            np.multiply(products, start, products)
            np.add(z, products, z)
        np.matmul(x, x.T, weights)
        if self._biases and matrix is vector:
            np.add(weights, self._one, weights)  # a bias is the weight of a constant input
        np.multiply(weights, matrix.inputs, weights)
        if self._biases and matrix is not vector:
            np.add(weights, vector.inputs, weights)
        for array, start in zip(self._biases, vector.start, strict=bool(self._biases)):
            np.add(z, start * array, z)
        np.fill_diagonal(weights, 1)  # a step's own row of z counts as it is

    def _end(self, batches: Batches, n: int, matrix: Unrolled, vector: Unrolled) -> None:
        """Bring the first layer's weights, biases and their state to the end of the block."""
        x, z, scaled = batches.x[:n], batches.z[:n], batches.products[:n]
        before = np.array(self._biases)
        for j, out in enumerate(self._next):
            np.multiply(z, matrix.end_inputs[j], scaled)
            np.dot(x.T, scaled, out)
            if self._biases and matrix is vector:
                self._biases[j][:] = vector.end[j] @ before + scaled.sum(0)
            elif self._biases:
                self._biases[j][:] = vector.end[j] @ before + (z * vector.end_inputs[j]).sum(0)
        if len(self._next) == 1:  # plain SGD: no copy
            if matrix is not vector:
                np.multiply(self._weights[0], matrix.end, self._weights[0])
            np.add(self._weights[0], self._next[0], self._weights[0])
            return
        for j, out in enumerate(self._next):
            for i, array in enumerate(self._weights):
                np.add(out, array * matrix.end[j, i], out)
        for array, out in zip(self._weights, self._next, strict=True):
            array[...] = out
