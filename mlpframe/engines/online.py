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

from ..api import Array, Block, Engine, Losses, rates, register
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
        start: φ, ``(n, rows, 1)``: the share of each component of z at the start in the first component
            before each step.
        inputs: k, ``(rows, rows)``: the share of g_s in it, zero unless s < t.
        end: Φ, ``(n, n, 1)``, and ``end_inputs``: κ, ``(n, rows, 1)``: z after the block.
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
        self.start = start.T.repeat(size, 1).astype(dtype)[..., None]
        self.inputs = inputs.repeat(size, 0).repeat(size, 1).astype(dtype)
        self.end = phi.astype(dtype)[..., None]
        self.end_inputs = impulses.T.repeat(size, 1).astype(dtype)[..., None]

    @classmethod
    def stacked(cls, lanes: Sequence[Unrolled]) -> Unrolled:
        """Those of several replicas as one, with an axis for the replicas that broadcasts over theirs."""
        stack = cls.__new__(cls)
        stack.start = np.stack([lane.start for lane in lanes], -3)
        stack.inputs = np.stack([lane.inputs for lane in lanes])
        stack.end = np.stack([lane.end for lane in lanes], -2)
        stack.end_inputs = np.stack([lane.end_inputs for lane in lanes], -3)
        return stack


class Batches:
    """A block of ``count`` batches of one size, bound once: arrays, and a plan of the head for each step.

    The row of a step holds, in ``z``, its first pre-activation as far as the block's start determines
    it; the step adds the share of the steps before, and leaves its Δ there.
    """

    def __init__(self, network: Network, size: int, count: int) -> None:
        rows, width, dtype = size * count, network.widths[1], network.dtype
        stack = network.w.shape[:-1]
        self.size = size
        self.x = np.zeros((*stack, rows, network.n_in), dtype)
        self.z, self.products = (np.zeros((*stack, rows, width), dtype) for _ in range(2))
        self.weights = np.zeros((*stack, rows, rows), dtype)
        self.target = np.zeros((*stack, rows, *network.target_shape), network.target_dtype)
        pre = np.zeros((*stack, size, width), dtype)
        self.sums: list[tuple[Array, Array, Array]] = []
        self.heads: list[Plan] = []
        targets = self.target.swapaxes(0, 1) if stack else self.target  # rows first
        for start in range(0, rows, size):
            own = slice(start, start + size)
            weights, z = self.weights[..., own, : own.stop], self.z[..., : own.stop, :]
            if size == 1 and not stack:  # np.dot of vectors costs half of a product of matrices with one row
                self.sums.append((weights[0], z, pre[0]))
            else:
                self.sums.append((weights, z, pre))
            target = targets[own].swapaxes(0, 1) if stack else targets[own]
            ctx = network.context(training=True)
            self.heads.append(network.bind(pre, self.z[..., own, :], target, ctx, first=1))


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
        self._next = [np.empty(weights.shape, network.dtype) for weights in self._weights]
        self._one = np.array(1, network.dtype)
        self._product: Callable[[Array, Array, Array], object] = np.dot if network.w.ndim == 1 else np.matmul
        self._update_head = updater.tail(len(first))
        self._bound: dict[int, Batches] = {}

        def unroll_one(lrs: tuple[float, ...], size: int, decay: bool) -> Unrolled:
            steps = [step for lr in lrs if (step := updater.recurrence(lr, decay=decay)) is not None]
            return Unrolled(steps, size, network.dtype)

        @lru_cache(maxsize=64)  # a rate that stays, or changes slowly, is unrolled once
        def unroll(lanes: tuple[tuple[float, ...], ...], size: int) -> tuple[Unrolled, Unrolled]:
            both = []
            for decay in (True, False) if updater.rules.weight_decay else (False,):
                one = [unroll_one(lrs, size, decay) for lrs in dict.fromkeys(lanes)]
                by_lane = dict(zip(dict.fromkeys(lanes), one, strict=True))
                both.append(one[0] if len(one) == 1 else Unrolled.stacked([by_lane[lrs] for lrs in lanes]))
            return both[0], both[-1]

        self._unroll = unroll

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        losses = [Losses() for _ in blocks]
        size, steps, n = blocks[0].batch_size, len(blocks[0].lrs), len(blocks[0].rows)
        lrs = rates(blocks, self._network.dtype)
        whole, count = n // size, max(1, BLOCK_ROWS // size)
        for start in range(0, whole, count):
            self._advance(blocks, slice(start, min(start + count, whole)), size, lrs, losses)
        if whole < steps:  # the last batch of an epoch is shorter
            self._advance(blocks, slice(whole, steps), n - whole * size, lrs, losses)
        return losses

    def _advance(
        self, blocks: Sequence[Block], steps: slice, size: int, lrs: Sequence[Any], losses: Sequence[Losses]
    ) -> None:
        if size not in self._bound:
            self._bound[size] = Batches(self._network, size, max(1, BLOCK_ROWS // size))
        batches = self._bound[size]
        start = steps.start * blocks[0].batch_size
        n = (steps.stop - steps.start) * size
        stacked = self._network.w.ndim > 1
        for i, block in enumerate(blocks):
            rows = block.rows[start : start + n]
            lane = (i, slice(n)) if stacked else slice(n)
            block.table.x.take(rows, 0, batches.x[lane], "clip")
            block.table.y.take(rows, 0, batches.target[lane], "clip")
        matrix, vector = self._unroll(tuple(tuple(block.lrs[steps]) for block in blocks), size)
        self._start(batches, n, matrix, vector)

        update, product = self._update_head, self._product
        classes = blocks[0].table.y.ndim == 1
        for (weights, so_far, pre), head, lr in zip(batches.sums, batches.heads, lrs[steps], strict=False):
            product(weights, so_far, pre)
            values = head.step()
            update(lr)
            for result, value, (_, target, output) in zip(losses, values, head.lanes, strict=True):
                result.values.append(value)
                if size == 1 and classes:
                    result.correct += int(output.argmax() == target.item())
                elif classes:
                    result.correct += int(np.count_nonzero(output.argmax(1) == target))
        self._end(batches, n, matrix, vector)

    def _start(self, batches: Batches, n: int, matrix: Unrolled, vector: Unrolled) -> None:
        """Fill ``z`` with what is known of the pre-activations, and ``weights`` with the shares k ∘ X Xᵀ."""
        x, z, products = batches.x[..., :n, :], batches.z[..., :n, :], batches.products[..., :n, :]
        weights = batches.weights[..., :n, :n]
        np.matmul(x, self._weights[0], z)
        if len(self._weights) > 1 or matrix is not vector:
            np.multiply(z, matrix.start[0], z)
        for array, start in zip(self._weights[1:], matrix.start[1:], strict=True):
            np.matmul(x, array, products)
            np.multiply(products, start, products)
            np.add(z, products, z)
        np.matmul(x, x.swapaxes(-1, -2), weights)
        if self._biases and matrix is vector:
            np.add(weights, self._one, weights)  # a bias is the weight of a constant input
        np.multiply(weights, matrix.inputs, weights)
        if self._biases and matrix is not vector:
            np.add(weights, vector.inputs, weights)
        for array, start in zip(self._biases, vector.start, strict=bool(self._biases)):
            np.add(z, start * array[..., None, :], z)
        diagonal = np.arange(n)
        weights[..., diagonal, diagonal] = 1  # a step's own row of z counts as it is

    def _end(self, batches: Batches, n: int, matrix: Unrolled, vector: Unrolled) -> None:
        """Bring the first layer's weights, biases and their state to the end of the block."""
        x, z, scaled = batches.x[..., :n, :], batches.z[..., :n, :], batches.products[..., :n, :]
        biases = []
        for j, out in enumerate(self._next):
            np.multiply(z, matrix.end_inputs[j], scaled)
            np.matmul(x.swapaxes(-1, -2), scaled, out)
            if self._biases:
                inputs = scaled if matrix is vector else z * vector.end_inputs[j]
                kept = sum(share * array for share, array in zip(vector.end[j], self._biases, strict=True))
                biases.append(kept + inputs.sum(-2))
        for array, bias in zip(self._biases, biases, strict=True):
            array[...] = bias
        if len(self._next) == 1 and matrix is vector:  # plain SGD: no copy
            np.add(self._weights[0], self._next[0], self._weights[0])
            return
        for j, out in enumerate(self._next):
            for share, array in zip(matrix.end[j], self._weights, strict=True):
                np.add(out, array * share[..., None], out)
        for array, out in zip(self._weights, self._next, strict=True):
            array[...] = out
