"""Convert the user's tables to numbers for a network, and the network's predictions to the user's words."""

from .encoder import Encoder, Scaling, Target, center_and_spread, known_means
from .summary import Summary, summarize
from .words import Words

__all__ = [
    "Encoder",
    "Scaling",
    "Summary",
    "Target",
    "Words",
    "center_and_spread",
    "known_means",
    "summarize",
]
