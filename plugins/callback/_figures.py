"""Pictures that callbacks draw into a run's folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec

from mlpframe.api import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
P = ParamSpec("P")


def plain_text(draw: Callable[P, None]) -> Callable[P, None]:
    """Make ``draw`` show text literally, so that ``$`` in a class name does not start a formula."""

    @wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> None:
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            draw(*args, **kwargs)

    return drawing


def due(every: int, run: Run) -> bool:
    """Whether work that is done every ``every`` epochs (0: never) is due after the run's current epoch."""
    return every > 0 and run.epoch % every == 0


def save(figure: Figure, run: Run, name: str, *, at_end: bool) -> None:
    """Write the figure to ``figures/<name>.png`` if ``at_end``, else to ``figures/<name>_epoch_<n>.png``."""
    folder = run.folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / (f"{name}.png" if at_end else f"{name}_epoch_{run.epoch:04d}.png"), dpi=DPI)
