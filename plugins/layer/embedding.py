"""The layer ``embedding``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mlpframe.api import (
    Array,
    Backward,
    Bound,
    Context,
    Graph,
    Layer,
    Parameter,
    Spec,
    UsageError,
    check_range,
    register,
)

Halves = tuple[Callable[[], object], Callable[[], object]]


@register("embedding")
class Embedding(Layer):
    """Replaces the codes in categorical columns by trained vectors; the other columns pass through.

    y = (x_other, y_1, y_2, …) with y_j = E_j[c_j],  ∂l/∂E_j[c] = Σ ∂l/∂y_j over the rows whose c_j = c,
    ∂l/∂x_other = ∂l/∂y_other,  ∂l/∂c_j = 0

    Each column of codes has a table E_j (categories, dim), which is the parameter ``E<column>``. y holds the
    other columns first, in their order, then the vectors in the order of ``columns``: x is (batch, features),
    y (batch, features + columns · (dim − 1)).

    A code is a whole number from 0 to the column's number of categories minus 1; other numbers are rounded to
    the nearest. A code outside this range, or NaN, stands for a category that was never seen: the vector is
    0, and the row does not train the table. Columns of codes must not be standardized. Weight decay does not
    apply to the tables: it would shrink the vectors of rare categories at every step in which they do not
    occur.

    Options:
        columns: positions of the columns of x that hold codes, counted from 0, without repetition. If null,
            a model inserts the positions of the inputs that hold codes (dataset.encoding=codes makes such
            inputs). Without such columns, y = x.
        categories: the number of categories of each of these columns, in the same order.
        dim: length of the vectors, at least 1.
        init: initializer of the tables, a name or a mapping with name and options.

    Raises ``UsageError`` if a number in ``columns`` is not the position of a column of x.

    Source: Guo, Berkhahn 2016, "Entity embeddings of categorical variables".
    """

    examples = ({"columns": [2, 0], "categories": [3, 1], "dim": 2},)

    def __init__(
        self,
        *,
        columns: list[int] | None = None,
        categories: list[int] | None = None,
        dim: int = 4,
        init: Spec = "normal",
    ) -> None:
        check_range("dim", dim, minimum=1)
        columns, categories = columns or [], categories or []
        if len(columns) != len(categories):
            raise ValueError(
                f"categories must have one number for each of the {len(columns)} columns, not {categories}"
            )
        if len(set(columns)) < len(columns):
            raise ValueError(f"columns must be distinct, not {columns}")
        for column, size in zip(columns, categories, strict=True):
            check_range("columns", column, minimum=0)
            check_range("categories", size, minimum=1)
        self.columns, self.categories = list(columns), list(categories)
        self.dim, self.init = dim, init

    def n_out(self, n_in: int) -> int:
        if self.columns and max(self.columns) >= n_in:
            raise UsageError(
                f"layer 'embedding': columns must be at most {n_in - 1}, not {max(self.columns)}, "
                f"since there are {n_in} features and the first is 0"
            )
        return n_in + len(self.columns) * (self.dim - 1)

    def parameters(self, n_in: int) -> dict[str, Parameter]:
        return {
            f"E{column}": Parameter((size, self.dim), self.init, size, self.dim)
            for column, size in zip(self.columns, self.categories, strict=True)
        }

    def textbook(self, x: Array, p: Mapping[str, Array], ctx: Context) -> tuple[Array, Backward]:
        numeric = np.delete(x, self.columns, 1)
        codes = {
            f"E{column}": (np.rint(x[:, [column]]) == np.arange(size)).astype(x.dtype)  # one-hot rows
            for column, size in zip(self.columns, self.categories, strict=True)
        }
        y = np.hstack([numeric, *(onehot @ p[name] for name, onehot in codes.items())])

        def backward(dy: Array) -> tuple[Array, dict[str, Array]]:
            d_numeric, *d_vectors = np.split(dy, numeric.shape[1] + self.dim * np.arange(len(codes)), 1)
            dx = np.zeros_like(x)
            dx[:, np.delete(np.arange(x.shape[1]), self.columns)] = d_numeric
            return dx, {name: codes[name].T @ d for name, d in zip(codes, d_vectors, strict=True)}

        return y, backward

    def bind(
        self, x: Array, dx: Array | None, p: Mapping[str, Array], g: Mapping[str, Array], ctx: Context
    ) -> Bound:
        width = self.n_out(x.shape[-1])
        y, dy = ctx.array(*x.shape[:-1], width), ctx.array(*x.shape[:-1], width)
        forwards: list[Callable[[], object]] = []
        backwards: list[Callable[[], object]] = []
        end = width - len(self.columns) * self.dim
        pairs = self._numeric_runs(x.shape[-1])
        copies = [(y[..., to], x[..., source]) for source, to in pairs]
        copies_back = [] if dx is None else [(dx[..., source], dy[..., to]) for source, to in pairs]
        codes = [] if dx is None else [dx[..., column] for column in self.columns]
        for column in self.columns:
            part = slice(end, end + self.dim)
            E, gE = p[f"E{column}"], g[f"E{column}"]
            forward_column, backward_column = _bind_column(
                x[..., column], y[..., part], dy[..., part], E, gE, ctx
            )
            forwards.append(forward_column)
            backwards.append(backward_column)
            end += self.dim

        def forward() -> None:
            for to, source in copies:
                np.copyto(to, source)
            for run in forwards:
                run()

        def backward() -> None:
            for run in backwards:
                run()
            for to, source in copies_back:
                np.copyto(to, source)
            for code in codes:
                code.fill(0)

        return Bound(y, dy, forward, backward)

    def _numeric_runs(self, n_in: int) -> list[tuple[slice, slice]]:
        """The slices in x and in y of each group of adjacent columns without codes."""
        pairs, end = [], 0
        starts = [-1, *sorted(self.columns)]
        for before, column in zip(starts, [*starts[1:], n_in], strict=True):
            size = column - before - 1
            if size:
                pairs.append((slice(before + 1, column), slice(end, end + size)))
            end += size
        return pairs

    def onnx(
        self, graph: Graph, x: str, n_in: int, p: Mapping[str, Array], state: Mapping[str, Array]
    ) -> str:
        others = np.delete(np.arange(n_in), self.columns)
        parts = [graph.node("Gather", x, others, axis=1)] if others.size else []
        for column, size in zip(self.columns, self.categories, strict=True):
            code = graph.node("Round", graph.node("Gather", x, np.array(column), axis=1))
            # false if the code is NaN
            known = graph.node("Equal", code, graph.node("Clip", code, 0.0, size - 1.0))
            row = graph.node("Cast", graph.node("Where", known, code, float(size)), to=np.int64)
            # the last row is for categories that were never seen
            table = np.vstack([p[f"E{column}"], np.zeros(self.dim)])
            parts.append(graph.node("Gather", table, row))
        return graph.node("Concat", *parts, axis=1)


def _bind_column(x: Array, y: Array, dy: Array, E: Array, gE: Array, ctx: Context) -> Halves:
    """Forward and backward functions of one column: codes x ``(…, batch)``, vectors y ``(…, batch, dim)``."""
    size, dim = E.shape[-2:]
    rounded, nearest = ctx.array(*x.shape), ctx.array(*x.shape)
    in_range, vectors = ctx.array(*x.shape, 1), ctx.array(*y.shape)
    index, elements = np.empty(x.shape, np.intp), np.empty(y.shape, np.intp)
    zero, last = np.array(0, x.dtype), np.array(size - 1, x.dtype)
    within = np.arange(dim)
    # Each stacked network is handled separately, because the networks' tables lie apart in memory. The
    # gradient of a table is flattened to one axis.
    batch = x.shape[-1]
    tables = list(
        zip(E.reshape(-1, size, dim), index.reshape(-1, batch), vectors.reshape(-1, batch, dim), strict=True)
    )
    gradients = list(
        zip(
            gE.reshape(-1, size * dim),
            elements.reshape(-1, batch * dim),
            vectors.reshape(-1, batch * dim),
            strict=True,
        )
    )

    def forward() -> None:
        np.rint(x, rounded)
        np.fmax(rounded, zero, nearest)  # fmax turns a NaN code into 0
        np.fmin(nearest, last, nearest)
        np.equal(rounded, nearest, in_range[..., 0])  # 1 if the code is in range, else 0
        np.copyto(index, nearest, casting="unsafe")
        for table, rows, taken in tables:
            table.take(rows, 0, taken, "clip")
        np.multiply(vectors, in_range, y)

    def backward() -> None:
        np.multiply(dy, in_range, vectors)
        np.multiply(index[..., None], dim, elements)
        np.add(elements, within, elements)
        for gradient, positions, values in gradients:
            gradient.fill(0)
            np.add.at(gradient, positions, values)

    return forward, backward
