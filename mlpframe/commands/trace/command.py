"""``mlpframe trace``: show one example in a small network, with every number beside its formula."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

import click

from ...analysis.by_hand import Example
from ...analysis.by_hand import trace as compute
from ...registry import UsageError
from .html import page
from .layout import blocks
from .terminal import print_blocks


@click.command("trace")
@click.option("--input", "x", default="1,-1", show_default=True, help="The inputs, separated by commas.")
@click.option("--hidden", default="3", show_default=True, help="Units of the hidden layers; '' for none.")
@click.option(
    "--outputs", type=int, default=None, help="Number of outputs; default: the number of targets, at least 2."
)
@click.option("--activation", default="sigmoid", show_default=True, help="Activation: sigmoid, tanh or relu.")
@click.option("--loss", default="cross_entropy", show_default=True, help="Loss: cross_entropy, nll or mse.")
@click.option(
    "--target", default="0", show_default=True, help="The true class, or for mse the target values."
)
@click.option("--lr", default=0.1, show_default=True, help="Learning rate of the step.")
@click.option(
    "--weights", default=None, help="All weights, layer by layer: W by rows (a row per input), then b."
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=None,
    help="Seed to draw the weights from N(0, 1); the biases are 0.",
)
@click.option("--digits", type=click.IntRange(1, 15), default=4, show_default=True, help="Decimals to show.")
@click.option("--html", type=Path, default=None, help="Write an HTML page to this file instead of printing.")
def trace(
    x: str,
    hidden: str,
    outputs: int | None,
    activation: str,
    loss: str,
    target: str,
    lr: float,
    weights: str | None,
    seed: int | None,
    digits: int,
    html: Path | None,
) -> None:
    """Follow one example through a small network: forward, backward, update, each number with its formula.

    The gradients are computed three times: in plain Python, by the network's layers, and by finite
    differences. Without options, the command shows the example that the report works by hand. Numbers in a
    list are separated by commas. Classes and positions count from 0.
    """
    targets = _numbers("target", target)
    example = Example(
        x=_numbers("input", x),
        hidden=_whole_numbers("hidden", hidden),
        outputs=max(2, len(targets)) if outputs is None else outputs,
        activation=activation,
        loss=loss,
        target=targets,
        lr=lr,
        seed=seed,
        weights=None if weights is None else _numbers("weights", weights),
    )
    parts = list(blocks(compute(example), digits))
    if html is None:
        print_blocks(parts)
    else:
        html.write_text(page(parts), encoding="utf-8")
        click.echo(html)


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _numbers(option: str, text: str) -> list[float]:
    try:
        values = [float(part) for part in _split(text)]
    except ValueError:
        values = []
    if not values or not all(map(isfinite, values)):
        raise UsageError(f"{option} must be numbers with commas between them, such as 0.5,-1, not {text!r}")
    return values


def _whole_numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in _split(text)]
    except ValueError:
        message = f"{option} must be whole numbers with commas between them, such as 2,3, not {text!r}"
        raise UsageError(message) from None


# --- what is shown -----------------------------------------------------------------------------------


# --- how it is shown ---------------------------------------------------------------------------------
