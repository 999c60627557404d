"""Makes the length of a layer's step proportional to the norm of its weights."""

from __future__ import annotations

import numpy as np

from mlpframe.api import Array


def trust_ratio(w: Array, step: Array) -> float | None:
    """‖w‖ / ‖step‖. ``None`` if w is a vector, such as a bias, or if one of the two norms is 0."""
    if w.ndim < 2:
        return None
    norm_w, norm_step = float(np.linalg.norm(w)), float(np.linalg.norm(step))
    return norm_w / norm_step if norm_w and norm_step else None
