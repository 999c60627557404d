"""The contenders: the engines of mlpframe, the bare matrix products, a plain loop, other libraries.

A function that makes a contender takes a ``Case``. The contender trains a given number of steps, and
gathers the rows of each batch in shuffled order. The function returns ``None`` if its library is not
installed or cannot train the case.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from mlpframe import registries
from mlpframe.api import Array, Block, Shapes, Table
from mlpframe.training.engines import create_engine
from mlpframe.training.network import Network, create_layers
from mlpframe.training.optim import Updater
from mlpframe.training.rng import Streams

from .timing import Contender

ROWS = 20_000
LR = 0.01
SCAN_PRODUCTS = 1_000_000_000
"""Number of weights × number of rows in one ``lax.scan``.

With this number a scan takes about as long as the turns of the other contenders.
"""


@dataclass(frozen=True)
class Case:
    """A network, a batch size, an optimizer.

    Args:
        widths: units of each layer from input to output, with sigmoids between the layers. A network with one
            output is trained on a regression, others on a classification.
        batch: rows of a batch.
        optimizer: ``sgd`` or ``adam``.
        rows: number of rows of the data.
    """

    widths: tuple[int, ...]
    batch: int
    optimizer: str = "sgd"
    rows: int = ROWS

    @property
    def regression(self) -> bool:
        """Whether the loss is mean squared error instead of cross-entropy."""
        return self.widths[-1] == 1

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))}, batch {self.batch}, {self.optimizer}"

    def model(self) -> dict[str, Any]:
        """The configuration of the model in mlpframe."""
        return {"name": "mlp", "hidden": list(self.widths[1:-1]), "activation": "sigmoid"}

    def data(self) -> tuple[Array, Array]:
        """Inputs and targets. Cases with equal numbers of rows, inputs and outputs share the arrays."""
        return _data(self.rows, self.widths[0], self.widths[-1])

    def weights(self) -> list[Array]:
        rng = np.random.default_rng(1)
        pairs = zip(self.widths[:-1], self.widths[1:], strict=True)
        return [rng.standard_normal(shape).astype(np.float32) * np.float32(0.05) for shape in pairs]

    def order(self, seed: int) -> Array:
        return np.random.default_rng((2, seed)).permutation(self.rows // self.batch * self.batch)


@lru_cache(maxsize=1)
def _data(rows: int, n_in: int, n_out: int) -> tuple[Array, Array]:
    """Random inputs and targets. If a row has more than 100 inputs, most are 0, as in images of digits."""
    rng = np.random.default_rng(0)
    x = rng.random((rows, n_in), dtype=np.float32)
    if n_in > 100:
        x *= rng.random(x.shape) < 0.19
    if n_out == 1:
        return x, rng.standard_normal((rows, 1)).astype(np.float32)
    return x, rng.integers(0, n_out, rows)


class Rows:
    """The row numbers of an endless sequence of batches. The same shuffled order is repeated."""

    def __init__(self, case: Case, seed: int = 0) -> None:
        self._batches: Array = case.order(seed).reshape(-1, case.batch)
        self._at = 0

    def next(self) -> Array:
        self._at = (self._at + 1) % len(self._batches)
        chosen: Array = self._batches[self._at]
        return chosen

    def block(self, steps: int) -> Array:
        """The row numbers of the next ``steps`` batches. After the last row the order starts again."""
        start = self._at
        if start + steps > len(self._batches):
            start = 0
        self._at = start + steps
        return self._batches[start : start + steps].reshape(-1)


def network(case: Case) -> Network:
    """mlpframe's network for a case."""
    loss = registries["loss"].create("mse" if case.regression else "cross_entropy")
    layers = create_layers(case.model(), Shapes(case.widths[0], case.widths[-1], "classification"))
    built = Network(layers, loss, case.widths[0], case.data()[1], "float32", Streams(0))
    views = [view for name, view in built.views(built.w).items() if name.endswith("W")]
    for view, values in zip(views, case.weights(), strict=True):
        view[...] = values
    return built


def mlpframe(case: Case, engine: str = "auto", replicas: int = 1) -> Contender:
    """mlpframe, called as the trainer calls it: blocks of 100 steps, with shuffled gather and accuracy.

    With several replicas, a step is one step of one replica.
    """
    networks = [network(case) for _ in range(replicas)]
    updaters = [Updater(registries["optimizer"].create(case.optimizer), built) for built in networks]
    built, updater = networks[0], updaters[0]
    if replicas > 1:
        built = Network.stacked(networks)
        updater = Updater.stacked(updaters, built)
    chosen = create_engine(engine, built, updater, case.batch)
    table, lanes = Table(*case.data()), [Rows(case, seed) for seed in range(replicas)]
    most = min(100, case.rows // case.batch)

    def run(steps: int) -> None:
        while steps:
            now = min(steps, most)
            chosen.advance([Block(table, rows.block(now), case.batch, [LR] * now) for rows in lanes])
            steps -= now

    return Contender(run, replicas)


def products(case: Case, block: int = 1) -> Contender:
    """Only the matrix products of a training step, written into existing arrays.

    If ``block`` is above 1, the first layer has the products of the engine ``online``, which multiplies
    ``block`` batches at once.
    """
    x, _ = case.data()
    weights = case.weights()
    rows = case.batch * block
    hidden = [np.empty((case.batch, w.shape[1]), np.float32) for w in weights]
    rng = np.random.default_rng(3)
    # Random numbers, because an array from np.empty may hold subnormal numbers, which are slow to multiply.
    deltas = [rng.standard_normal(h.shape, np.float32) for h in hidden]
    gradients = [np.empty_like(w) for w in weights]
    outer = np.dot if case.batch == 1 else np.matmul  # the faster of the two, by up to 9 times
    wide, gram = np.empty((rows, weights[0].shape[1]), np.float32), np.empty((rows, rows), np.float32)

    def forward_backward(inputs: Array, first: int) -> None:
        """The products of the layers from ``first`` on; ``inputs`` are the inputs of layer ``first``."""
        for i in range(first, len(weights)):
            np.matmul(inputs if i == first else hidden[i - 1], weights[i], hidden[i])
        for i in range(len(weights) - 1, first - 1, -1):
            outer((inputs if i == first else hidden[i - 1]).T, deltas[i], gradients[i])
            if i:
                np.matmul(deltas[i], weights[i].T, deltas[i - 1])

    def run(steps: int) -> None:
        for step in range(0, steps, block):
            start = step * case.batch % (len(x) - rows + 1)
            part = x[start : start + rows]
            if block == 1:
                forward_backward(part, 0)
                continue
            np.matmul(part, weights[0], wide)
            np.matmul(part, part.T, gram)
            for t in range(min(block, steps - step)):
                own = slice(t * case.batch, (t + 1) * case.batch)
                np.matmul(gram[own, : own.stop], wide[: own.stop], hidden[0])
                forward_backward(hidden[0], 1)
            np.matmul(part.T, wide, gradients[0])

    return Contender(run)


def plain_loop(case: Case) -> Contender:
    """A plain training loop as in the students' report: float64, and a new array for every result."""
    x, y = case.data()
    weights = [w.astype(np.float64) for w in case.weights()]
    biases = [np.zeros(w.shape[1]) for w in weights]
    x64, rows = x.astype(np.float64), Rows(case)
    m = [np.zeros_like(p) for p in (*weights, *biases)]
    v = [np.zeros_like(p) for p in (*weights, *biases)]
    count = 0

    def run(steps: int) -> None:
        nonlocal count
        for _ in range(steps):
            chosen = rows.next()
            h, target = [x64[chosen]], y[chosen]
            for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
                o = h[-1] @ w + b
                h.append(o if i == len(weights) - 1 else 1 / (1 + np.exp(-o)))
            if case.regression:
                d = 2 * (h[-1] - target) / target.size
            else:
                e = np.exp(h[-1] - h[-1].max(1, keepdims=True))
                d = e / e.sum(1, keepdims=True)
                d[np.arange(len(d)), target] -= 1
                d /= len(d)
            dws: list[Array] = []
            dbs: list[Array] = []
            for i in range(len(weights) - 1, -1, -1):
                dws.insert(0, h[i].T @ d)
                dbs.insert(0, d.sum(0))
                if i:
                    d = (d @ weights[i].T) * h[i] * (1 - h[i])
            count += 1
            parameters = (*weights, *biases)
            for k, (p, g) in enumerate(zip(parameters, (*dws, *dbs), strict=True)):
                if case.optimizer == "sgd":
                    p -= LR * g
                else:
                    m[k] = 0.9 * m[k] + 0.1 * g
                    v[k] = 0.999 * v[k] + 0.001 * g * g
                    p -= LR * (m[k] / (1 - 0.9**count)) / (np.sqrt(v[k] / (1 - 0.999**count)) + 1e-8)

    return Contender(run)


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def torch_model(case: Case) -> Any:
    """The network of a case as a PyTorch module."""
    import torch as t

    parts: list[t.nn.Module] = []
    for i, w in enumerate(case.weights()):
        linear = t.nn.Linear(*w.shape)
        linear.weight.data = t.from_numpy(w.T.copy())
        linear.bias.data.zero_()
        parts += [linear, t.nn.Sigmoid()] if i < len(case.widths) - 2 else [linear]
    return t.nn.Sequential(*parts)


def torch(case: Case, *, compiled: bool = False, fused: bool = False) -> Contender | None:
    """PyTorch, eager or with ``torch.compile`` of the whole step."""
    if not installed("torch"):
        return None
    import torch as t

    x, y = case.data()
    tx, ty, rows = t.from_numpy(x), t.from_numpy(y), Rows(case)
    model = torch_model(case)
    loss_of = t.nn.MSELoss() if case.regression else t.nn.CrossEntropyLoss()
    if case.optimizer == "sgd":
        optimizer: t.optim.Optimizer = t.optim.SGD(model.parameters(), LR)
    else:
        optimizer = t.optim.Adam(model.parameters(), LR, fused=fused)

    def forward_backward(inputs: t.Tensor, target: t.Tensor) -> t.Tensor:
        loss: t.Tensor = loss_of(model(inputs), target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    step = t.compile(forward_backward) if compiled else forward_backward

    def run(steps: int) -> float:
        total = 0.0
        for _ in range(steps):
            chosen = t.from_numpy(rows.next())
            optimizer.zero_grad(set_to_none=True)
            loss = step(tx[chosen], ty[chosen])
            optimizer.step()
            total += loss.item()
        return total

    return Contender(run)


def jax_parameters(case: Case) -> list[Any]:
    """Weights and biases of each layer as JAX arrays."""
    import jax.numpy as jnp

    return [(jnp.asarray(w), jnp.zeros(w.shape[1])) for w in case.weights()]


def jax_logits(parameters: Sequence[Any], inputs: Any) -> Any:
    """Compute the outputs of the network. JAX compiles this function."""
    import jax as j

    h = inputs
    for i, (w, b) in enumerate(parameters):
        h = h @ w + b
        h = h if i == len(parameters) - 1 else j.nn.sigmoid(h)
    return h


def jax(case: Case, *, scan: bool) -> Contender | None:
    """JAX, with one jitted step in a call or with many steps in one ``lax.scan``."""
    if not installed("jax"):
        return None
    import jax as j
    import jax.numpy as jnp

    x, y = case.data()
    jx, jy, rows = jnp.asarray(x), jnp.asarray(y), Rows(case)
    parameters = jax_parameters(case)
    zeros = j.tree.map(jnp.zeros_like, parameters)

    def loss_of(p: Sequence[Any], inputs: Any, target: Any) -> Any:
        h = jax_logits(p, inputs)
        if case.regression:
            return jnp.mean((h - target) ** 2)
        return jnp.mean(j.nn.logsumexp(h, 1) - jnp.take_along_axis(h, target[:, None], 1)[:, 0])

    def step(state: Any, chosen: Any) -> Any:
        p, m, v, count = state
        loss, g = j.value_and_grad(loss_of)(p, jx[chosen], jy[chosen])
        count = count + 1
        if case.optimizer == "sgd":
            p = j.tree.map(lambda a, b: a - LR * b, p, g)
        else:
            m = j.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
            v = j.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
            p = j.tree.map(
                lambda a, b, c: a - LR * (b / (1 - 0.9**count)) / (jnp.sqrt(c / (1 - 0.999**count)) + 1e-8),
                p,
                m,
                v,
            )
        return (p, m, v, count), loss

    state: Any = (parameters, zeros, zeros, jnp.zeros(()))
    one = j.jit(step, donate_argnums=0)
    many = j.jit(lambda s, block: j.lax.scan(step, s, block), donate_argnums=0)
    state = j.tree.map(jnp.copy, state)  # JAX reuses donated buffers, so the contender needs its own copies
    weights = sum(w.size for w in case.weights())
    length = max(1, min(SCAN_PRODUCTS // (weights * case.batch), case.rows // case.batch))

    def run_scan(scans: int) -> None:
        nonlocal state
        for _ in range(scans):
            state, losses = many(state, rows.block(length).reshape(length, case.batch))
        losses.block_until_ready()

    def run(steps: int) -> None:
        nonlocal state
        for _ in range(steps):
            state, loss = one(state, rows.next())
        loss.block_until_ready()

    return Contender(run_scan, length) if scan else Contender(run)


def sklearn_model(case: Case) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if case.regression else MLPClassifier
    return kind(
        hidden_layer_sizes=case.widths[1:-1],
        activation="logistic",
        solver=case.optimizer,
        batch_size=case.batch,
        learning_rate_init=LR,
        momentum=0.0,
        alpha=0.0,
    )


def sklearn(case: Case) -> Contender:
    """scikit-learn's own loop: each ``partial_fit`` gets the rows of many batches and shuffles them."""
    x, y = case.data()
    model = sklearn_model(case)
    more: dict[str, Any] = {} if case.regression else {"classes": np.arange(case.widths[-1])}
    most, start = min(1000, case.rows // case.batch), 0

    def run(steps: int) -> None:
        nonlocal start
        while steps:
            now = min(steps, most)
            if start + now * case.batch > case.rows:
                start = 0
            part = slice(start, start + now * case.batch)
            model.partial_fit(x[part], y[part].ravel(), **more)
            start = part.stop
            steps -= now

    return Contender(run)
