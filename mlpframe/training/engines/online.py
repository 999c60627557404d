"""The engine ``online``: exact SGD for very small batches at the speed of matrix products.

With one row per batch, a step is a matrix-vector product and a rank-one update. Reading and writing the first
weight matrix W limits the speed. But the inputs X of the coming steps are known. Let Δ_s be ∂l_s/∂(first
pre-activation) at step s. If the optimizer is linear in the gradients, W and its state at step t are a known
linear function of two things: W and its state at the start of the block, and the Δ_s so far. So

    X_t W_t = Σ_i φ_{t,i} X_t Z_i + Σ_{s<t} k_{t,s} (X_t X_sᵀ) Δ_s,

where Z_0 = W, Z_1, … are the weights and optimizer state at the start, and φ and k are the coefficients of
the linear function (see ``Unrolled``). For plain SGD this is
X_t W − Σ_{s<t} η_s (X_t X_sᵀ) Δ_s. For a whole block, the products X Z_i and X Xᵀ are one matrix product
each. A single step only computes a small sum over the Δ_s so far and runs the remaining, small layers. After
the block, Z_j ← Σ_i Φ_{j,i} Z_i + Xᵀ (κ_j ∘ Δ). The results are the iterates of step-by-step SGD, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ...api import (
    Array,
    Block,
    Engine,
    EngineNetwork,
    EnginePlan,
    EngineUpdater,
    Losses,
    Means,
    Recurrence,
    rates,
    register,
    split_losses,
)

BLOCK_ROWS = 64
"""Rows of a block. More rows make the products faster, but the sum over the steps so far slower."""
MOST_ROWS = 16
"""Largest batch for which this engine is faster than the engine ``numpy`` (``benchmarks engines``)."""


class Unrolled:
    """A linear recurrence z ← A_t z + B_t g_t over a block of steps, solved for z's first component.

    Args:
        steps: A_t, ``(n, n)``, and B_t, ``(n,)``, of each step.
        size: rows of a batch. The attributes repeat the values of a step for each row of its batch.
        dtype: of the arrays.

    Attributes:
        start: φ, ``(n, rows, 1)``: the share of each component of z at the start of the block in the first
            component of z before each step.
        inputs: k, ``(rows, rows)``: the share of g_s in the first component of z before step t, zero
            unless s < t.
        end: Φ, ``(n, n, 1)``: the shares of z at the start in z after the block.
        end_inputs: κ, ``(n, rows, 1)``: the share of each g_s in z after the block.
    """

    def __init__(self, steps: Sequence[Recurrence], size: int, dtype: np.dtype[Any]) -> None:
        n, count = len(steps[0][1]), len(steps)
        start, inputs = np.empty((count, n)), np.zeros((count, count))
        phi, impulses = np.eye(n), np.zeros((count, n))
        # plain SGD: with A = 1, the share of g_s is B in every later step
        if n == 1 and all(A[0, 0] == 1 for A, _ in steps):
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


class FirstLayer:
    """The first layer of one network: ``start`` prepares the steps of a block, ``end`` updates the weights.

    Args:
        weights, biases: the layer's W and b, each followed by its optimizer state; ``biases`` is empty
            without b.
        scratch: arrays like the weights, for intermediate results.
    """

    def __init__(self, weights: list[Array], biases: list[Array], scratch: list[Array]) -> None:
        self.weights, self.biases, self._next = weights, biases, scratch
        self._bias_input = np.array(1, weights[0].dtype)

    def start(
        self, x: Array, z: Array, shares: Array, products: Array, matrix: Unrolled, vector: Unrolled
    ) -> None:
        """Fill ``z`` with the part of X_t W_t that is known at the start, and ``shares`` with k ∘ X Xᵀ."""
        n = len(x)
        np.matmul(x, self.weights[0], z)
        if len(self.weights) > 1 or matrix is not vector:
            np.multiply(z, matrix.start[0], z)
        for array, start in zip(self.weights[1:], matrix.start[1:], strict=True):
            np.dot(x, array, products)
            np.multiply(products, start, products)
            np.add(z, products, z)
        np.matmul(x, x.T, shares)
        if self.biases and matrix is vector:
            np.add(shares, self._bias_input, shares)  # a bias is the weight of a constant input
        np.multiply(shares, matrix.inputs, shares)
        if self.biases and matrix is not vector:
            np.add(shares, vector.inputs, shares)
        for array, start in zip(self.biases, vector.start, strict=bool(self.biases)):
            np.add(z, start * array, z)
        diagonal = np.arange(n)
        shares[diagonal, diagonal] = 1  # in the sum over the rows of z, a step's own row has the factor 1

    def end(self, x: Array, z: Array, scaled: Array, matrix: Unrolled, vector: Unrolled) -> None:
        """Change weights, biases and their optimizer state to their values after the block."""
        biases = []
        for j, out in enumerate(self._next):
            np.multiply(z, matrix.end_inputs[j], scaled)
            np.matmul(x.T, scaled, out)
            if self.biases:
                inputs = scaled if matrix is vector else z * vector.end_inputs[j]
                start_share = sum(
                    share * array for share, array in zip(vector.end[j], self.biases, strict=True)
                )
                biases.append(start_share + inputs.sum(0))
        for array, bias in zip(self.biases, biases, strict=True):
            array[...] = bias
        if len(self._next) == 1 and matrix is vector:  # plain SGD needs no copy of the weights
            np.add(self.weights[0], self._next[0], self.weights[0])
            return
        for j, out in enumerate(self._next):
            for share, array in zip(matrix.end[j], self.weights, strict=True):
                np.add(out, array * share, out)
        for array, out in zip(self.weights, self._next, strict=True):
            array[...] = out


class Batches:
    """A block of ``count`` batches of the same size: its arrays, and one plan of the head for each step.

    The *head* is the network without its first layer. At first, the rows of a step in ``z`` hold the part of
    the first pre-activations that the start of the block determines. The step adds the shares of the earlier
    steps, and then writes its Δ into these rows.

    The arrays of a plan must be contiguous, also for stacked networks. Therefore the first axis of
    ``targets`` is the step. For batches of one row, the step is the first axis of ``z`` in memory too. Larger
    batches of stacked networks cannot be contiguous in ``z``: their Δ is computed in a separate array and
    copied.
    """

    def __init__(self, network: EngineNetwork, size: int, count: int) -> None:
        rows, width, dtype = size * count, network.widths[1], network.dtype
        stack = network.w.shape[:-1]
        self.products = np.zeros((rows, width), dtype)
        self.x = np.zeros((*stack, rows, network.n_in), dtype)
        if size == 1:
            self.z = np.zeros((rows, *stack, width), dtype).swapaxes(0, len(stack))
        else:
            self.z = np.zeros((*stack, rows, width), dtype)
        self.shares = np.zeros((*stack, rows, rows), dtype)
        self.targets = np.zeros((count, *stack, size, *network.target_shape), network.target_dtype)
        pre, delta = np.zeros((2, *stack, size, width), dtype)
        self.sums: list[tuple[Array, Array, Array]] = []
        self.heads: list[EnginePlan] = []
        self.steps: list[Callable[[], Means]] = []
        for i, target in enumerate(self.targets):
            own = slice(i * size, (i + 1) * size)
            shares, z, dz = self.shares[..., own, : own.stop], self.z[..., : own.stop, :], self.z[..., own, :]
            if size == 1 and not stack:  # np.dot of a vector costs half as much as with a one-row matrix
                self.sums.append((shares[0], z, pre[0]))
            else:
                self.sums.append((shares, z, pre))
            ctx, contiguous = network.context(training=True), dz.flags.c_contiguous
            head = network.bind(pre, dz if contiguous else delta, target, ctx, first=1)
            self.heads.append(head)
            self.steps.append(head.step if contiguous else _then_copy(head.step, delta, dz))


def _then_copy(step: Callable[[], Means], source: Array, to: Array) -> Callable[[], Means]:
    """The step, followed by a copy of ``source`` to ``to``."""

    def run() -> Means:
        values = step()
        np.copyto(to, source)
        return values

    return run


@register("online")
class OnlineEngine(Engine):
    """Exact SGD for very small batches whose inputs are known in advance; the first layer must be linear."""

    priority = 30

    def refuses(self, network: EngineNetwork, updater: EngineUpdater) -> str | None:
        if network.layers[0].name != "linear":
            return f"the first layer must be linear, not {network.layers[0].name}"
        if network.weighted:
            return "it does not support row weights"
        if special := ", ".join(updater.rules.special):
            return f"it supports neither clipping nor rules for single parameters ({special})"
        if updater.recurrence(1.0, decay=True) is None:
            return f"the update of {updater.optimizer.name} is not linear in the gradients"
        return None

    def suits(self, network: EngineNetwork, batch_size: int) -> bool:
        return batch_size <= MOST_ROWS

    def bind(self, network: EngineNetwork, updater: EngineUpdater) -> None:
        self._network = network
        first = [name for name in network.views(network.w) if name.startswith(network.prefix(0))]
        vectors = [network.w, *updater.slots.values()]
        self._stacked = network.w.ndim > 1
        scratch = [np.empty(network.widths[:2], network.dtype) for _ in vectors]
        self._first = []
        for lane in zip(*vectors, strict=True) if self._stacked else [vectors]:
            views = [network.views(vector) for vector in lane]
            weights, *biases = ([view[name] for view in views] for name in first)
            self._first.append(FirstLayer(weights, biases[0] if biases else [], scratch))
        self._product: Callable[[Array, Array, Array], object] = np.matmul if self._stacked else np.dot
        self._update_head = updater.tail(len(first))
        self._bound: dict[int, Batches] = {}

        @lru_cache(maxsize=64)  # blocks of the same learning rates use the same ``Unrolled``
        def unroll(lrs: tuple[float, ...], size: int) -> tuple[Unrolled, Unrolled]:
            unrolled = []
            for decay in (True, False) if updater.rules.weight_decay else (False,):
                steps = [step for lr in lrs if (step := updater.recurrence(lr, decay=decay)) is not None]
                unrolled.append(Unrolled(steps, size, network.dtype))
            return unrolled[0], unrolled[-1]

        self._unroll = unroll

    def advance(self, blocks: Sequence[Block]) -> list[Losses]:
        size, steps, n = blocks[0].batch_size, len(blocks[0].lrs), len(blocks[0].rows)
        lrs = rates(blocks, self._network.dtype)
        full_batches, batches_at_once = n // size, max(1, BLOCK_ROWS // size)
        values: list[Means] = []
        correct = 0
        for start in range(0, full_batches, batches_at_once):
            correct += self._advance(
                blocks, slice(start, min(start + batches_at_once, full_batches)), size, lrs, values
            )
        if full_batches < steps:  # the last batch of an epoch is shorter
            correct += self._advance(blocks, slice(full_batches, steps), n - full_batches * size, lrs, values)
        return split_losses(values, correct, len(blocks))

    def _advance(
        self, blocks: Sequence[Block], steps: slice, size: int, lrs: Sequence[Any], values: list[Means]
    ) -> Any:
        """Train on batches of one size. Adds losses to ``values``; returns the number of correct rows."""
        if size not in self._bound:
            self._bound[size] = Batches(self._network, size, max(1, BLOCK_ROWS // size))
        batches = self._bound[size]
        start = steps.start * blocks[0].batch_size
        n = (steps.stop - steps.start) * size
        products = batches.products[:n]
        lanes = []
        for i, (block, first) in enumerate(zip(blocks, self._first, strict=True)):
            x, z, shares = (
                (array[i] if self._stacked else array)[:n] for array in (batches.x, batches.z, batches.shares)
            )
            targets = batches.targets[: n // size, i] if self._stacked else batches.targets[: n // size]
            rows = block.rows[start : start + n]
            block.table.x.take(rows, 0, x, "clip")
            block.table.y.take(rows.reshape(-1, size), 0, targets, "clip")
            unrolled = self._unroll(tuple(block.lrs[steps]), size)
            first.start(x, z, shares[:, :n], products, *unrolled)
            lanes.append((first, x, z, unrolled))

        update, product = self._update_head, self._product
        classes, correct = self._network.classifies, 0
        for (shares, so_far, pre), step, head, lr in zip(
            batches.sums, batches.steps, batches.heads, lrs[steps], strict=False
        ):
            product(shares, so_far, pre)
            values.append(step())
            if classes:
                correct += head.correct()
            update(lr)
        for first, x, z, unrolled in lanes:
            first.end(x, z, products, *unrolled)
        return correct
