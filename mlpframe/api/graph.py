"""The graph that a component adds its ONNX nodes to."""

from __future__ import annotations

from typing import Any, Protocol

from .component import Array


class Graph(Protocol):
    """An ONNX graph under construction. A node gets its inputs by their names in the graph."""

    def node(self, operator: str, *inputs: str | Array | float, domain: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its first output.

        Args:
            operator: an operator of ONNX, such as ``"MatMul"``
                (https://onnx.ai/onnx/operators: what it computes, its inputs and attributes).
            inputs: names of graph inputs or of other nodes' outputs, or constants. Numbers and arrays of
                floats become constants of the graph's dtype, arrays of integers become int64.
            domain: the operator set of the operator; empty: ONNX's own.
            attributes: the node's attributes; a NumPy type, as in ``to=np.int64``, becomes ONNX's number
                of this type.
        """
