"""The optimizer ``lamb``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mlpframe.api import Array, register

from ._moments import Moments
from ._trust import trust_ratio


@register("lamb")
class LAMB(Moments):
    """LAMB: Adam's direction for each layer, with a length in proportion to the norm of its weights.

    w ← w − η ‖w‖ / ‖r‖ r  with  r = m̂ / (√v̂ + ε)  and  m̂, v̂ as in Adam

    The norms are taken over a whole weight matrix. Vectors, such as biases, and matrices where either norm is
    0 take Adam's step w ← w − η r. The paper has λ w inside r. Here weight decay is an option of every
    optimizer, coupled or decoupled, so r has only the gradient's part.

    Options:
        beta1: β₁, decay of the running mean of the gradient, at least 0 and below 1.
        beta2: β₂, decay of the running mean of the squared gradient, at least 0 and below 1.
        epsilon: ε, which keeps the divisor above 0; at least 1e-30.

    Source: You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer, Hsieh 2020, "Large batch
    optimization for deep learning: Training BERT in 76 minutes".
    """

    default_lr = 0.002
    scope = "tensor"

    def __init__(self, *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-6) -> None:
        super().__init__(beta1=beta1, beta2=beta2, epsilon=epsilon)

    def textbook(self, w: Array, g: Array, lr: float, t: int, m: Array, v: Array) -> tuple[Array, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g**2
        m_hat, v_hat = m / (1 - self.beta1**t), v / (1 - self.beta2**t)
        r = m_hat / (np.sqrt(v_hat) + self.epsilon)
        norm_w, norm_r = np.linalg.norm(w), np.linalg.norm(r)
        ratio = norm_w / norm_r if w.ndim > 1 and norm_w > 0 and norm_r > 0 else 1.0
        return w - lr * ratio * r, m, v

    def update(
        self, w: Array, g: Array, slots: Mapping[str, Array], lr: float, step: int, scratch: Array
    ) -> None:
        m_sum, v_sum, c, root_d = self.accumulate(g, slots, step, scratch)
        # Further names of the array ``scratch``: a name says what the array holds at that point.
        root = direction = scratch
        np.sqrt(v_sum, root)
        np.add(root, self.epsilon * root_d, root)
        np.divide(m_sum, root, direction)  # this is r c / √d; the trust ratio cancels the factor c / √d
        ratio = trust_ratio(w, direction)
        np.multiply(direction, lr * (root_d / c if ratio is None else ratio), direction)
        np.subtract(w, direction, w)
