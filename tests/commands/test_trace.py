"""The command ``trace``: the numbers of the report, three computations that agree, and the output."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from math import log
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.analysis.by_hand import ACTIVATIONS, LOSSES, Example, trace
from mlpframe.cli import run
from mlpframe.commands.trace.html import page
from mlpframe.commands.trace.layout import Block, blocks
from mlpframe.registry import UsageError
from tests.running import mlpframe, run_python

ASYMMETRIC = [0.2, -0.5, 1.1, -0.4, 0.3, 0.8, 0.1, -0.2, 0.05, 0.6, -1.0, -0.3, 0.9, 1.4, 0.2, -0.15, 0.25]
"""Weights and biases of a 2-3-2 network for which no derivative is 0."""
EXAMPLES = {
    "the report's": Example(),
    "asymmetric": Example(x=[0.7, -1.3], weights=ASYMMETRIC, target=[1.0]),
    "nll": Example(x=[0.7, -1.3], weights=ASYMMETRIC, loss="nll"),
    "tanh": Example(activation="tanh", seed=1),
    "relu": Example(activation="relu", seed=1, x=[0.5, 2.0]),
    "mse of a class": Example(loss="mse", seed=2, target=[1.0]),
    "mse of values": Example(loss="mse", seed=2, outputs=3, target=[0.5, -1.0, 2.0], activation="tanh"),
    "one output": Example(loss="mse", outputs=1, target=[0.7], seed=3),
    "two hidden layers": Example(hidden=[3, 2], seed=4, target=[1.0]),
    "two hidden layers, relu, nll": Example(hidden=[4, 3], seed=2, activation="relu", loss="nll"),
    "no hidden layer": Example(x=[1.0, 2.0, -0.5], hidden=[], outputs=4, target=[3.0]),
}


# --- the numbers -------------------------------------------------------------------------------------


def test_the_reports_example_has_the_published_numbers() -> None:
    worked = trace(Example()).by_hand
    first, last = worked.stages
    assert first.k == [2.0, 2.0, 2.0]
    assert first.h == pytest.approx([0.8807970780] * 3, abs=5e-11)
    assert last.k == pytest.approx([-0.8807970780] * 2, abs=5e-11)
    assert worked.y == [0.5, 0.5]
    assert worked.loss == pytest.approx(log(2), rel=1e-15)
    np.testing.assert_allclose(last.dW, [[-0.4404, 0.4404]] * 3, rtol=0, atol=5e-5)
    np.testing.assert_allclose(last.dk, [-0.5, 0.5], rtol=0, atol=1e-15)
    np.testing.assert_allclose(first.dW, np.zeros((2, 3)), rtol=0, atol=1e-15)
    np.testing.assert_allclose(first.dk, np.zeros(3), rtol=0, atol=1e-15)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_the_three_computations_agree(example: Example) -> None:
    traced = trace(example)
    assert traced.loss_by_network == pytest.approx(traced.by_hand.loss, rel=1e-12)
    np.testing.assert_allclose(traced.by_network, traced.by_hand.gradient, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(traced.by_differences, traced.by_hand.gradient, rtol=1e-6, atol=1e-6)
    network, difference = traced.deviations
    assert network <= 1e-12
    assert difference <= 1e-6


@pytest.mark.parametrize("name", ["asymmetric", "tanh", "two hidden layers", "mse of values"])
def test_the_examples_reveal_every_wrong_derivative(name: str) -> None:
    assert min(abs(value) for value in trace(EXAMPLES[name]).by_hand.gradient) > 1e-4


def test_names_in_the_trace_are_names_of_components() -> None:
    assert set(ACTIVATIONS) <= set(registries["layer"].names())
    assert set(LOSSES) <= set(registries["loss"].names())


def test_weights_are_given_by_the_user_or_drawn() -> None:
    def first_weights(example: Example) -> list[list[float]]:
        return trace(example).by_hand.stages[0].W

    assert first_weights(Example(weights=ASYMMETRIC)) == [[0.2, -0.5, 1.1], [-0.4, 0.3, 0.8]]
    assert first_weights(Example(seed=1)) == first_weights(Example(seed=1))
    assert first_weights(Example(seed=1)) != first_weights(Example(seed=2))
    assert first_weights(Example(hidden=[2])) == first_weights(Example(hidden=[2], seed=0))
    assert trace(Example(seed=1)).by_hand.stages[0].b == [0.0, 0.0, 0.0]


# --- the output --------------------------------------------------------------------------------------


def shown(example: Example, digits: int = 12) -> list[Block]:
    return list(blocks(trace(example), digits))


def columns(block: Block) -> dict[str, list[str]]:
    return dict(zip(block.headings, map(list, zip(*block.rows, strict=True)), strict=True))


def numbers(texts: Sequence[str]) -> np.ndarray:
    return np.array([float(text) for text in texts])


def updates(parts: Sequence[Block]) -> list[Block]:
    return [part for part in parts if part.title.startswith("Gradients and update")]


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_each_row_of_an_update_follows_its_formulas(example: Example) -> None:
    names = []
    for part in updates(shown(example)):
        w, local, upstream, gradient, change, new = map(numbers, list(columns(part).values())[1:])
        np.testing.assert_allclose(local * upstream, gradient, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(-example.lr * gradient, change, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(w + change, new, rtol=1e-9, atol=1e-11)
        names += columns(part)["w"]
    assert len(set(names)) == len(names) == len(trace(example).by_network)


CALCULATION = re.compile(r"[-+·/().\de ]+")


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_each_calculation_gives_the_number_beside_it(example: Example) -> None:
    checked = 0
    for part in shown(example):
        if "with numbers" not in part.headings:
            continue
        after = part.headings[part.headings.index("with numbers") + 1]
        for text, result in zip(columns(part)["with numbers"], columns(part)[after], strict=True):
            assert CALCULATION.fullmatch(text)
            assert eval(text.replace("·", "*")) == pytest.approx(float(result), rel=1e-9, abs=1e-10)
            checked += 1
    assert checked >= sum(example.widths[1:])


def test_digits_sets_the_decimals_and_small_numbers_have_an_exponent() -> None:
    (last, _) = updates(shown(Example(), digits=10))
    assert "0.8807970780" in columns(last)["∂o[j]/∂w"]
    (last, _) = updates(shown(Example(lr=1e-6), digits=2))
    assert columns(last)["Δw"][0] == "4.4e-07"
    assert columns(last)["new w"][0] == "1.00"


def test_the_trace_reports_a_kink() -> None:
    parts = shown(Example(x=[1.0, 1.0], activation="relu"))
    assert "k₁[0], k₁[1], k₁[2]" in parts[-1].lines[-1]
    assert not any("relu" in line for line in shown(Example())[-1].lines)


class Tags(HTMLParser):
    """All tags and attributes of an HTML page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_the_page_is_well_formed_and_has_every_number_of_every_weight(example: Example) -> None:
    parts = shown(example)
    text = page(parts)
    root = ElementTree.fromstring(text)
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    for part in updates(parts):
        for row in part.rows:
            assert list(row) in rows
    traced = trace(example)
    by_name = {row[0]: row[1:] for row in rows}
    names = [row[0] for part in parts if part.title == "Three computations" for row in part.rows][1:]
    for i, name in enumerate(names):
        ways = traced.by_hand.gradient[i], traced.by_network[i], traced.by_differences[i]
        assert numbers(by_name[name][:3]) == pytest.approx(ways, rel=0.05, abs=1e-12)
    assert len(names) == len(traced.by_network)


def test_the_page_loads_no_other_file_and_has_a_dark_mode() -> None:
    text = page(shown(Example()))
    tags = Tags()
    tags.feed(text)
    assert tags.attributes <= {"lang", "charset", "name", "content", "scope", "class"}
    assert not tags.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text


# --- the command -------------------------------------------------------------------------------------

MAIN = """
import sys
from mlpframe.cli import main
try:
    main()
finally:
    print("IMPORTED", *sorted({"hydra", "matplotlib", "mlflow", "sqlalchemy"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("arguments", [(), ("--help",)], ids=["default", "help"])
def test_the_output_fits_100_columns_and_no_large_library_is_imported(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run_python(tmp_path, "-c", MAIN, "trace", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "IMPORTED"
    assert list(tmp_path.iterdir()) == []
    if not arguments:
        assert len(re.findall(r"W₂\[\d,\d\] .* 0\.8808 +-0\.5000 +-0\.4404 ", done.stdout)) == 3
    else:
        assert "--activation" in done.stdout


def test_a_terminal_of_100_columns_is_wide_enough(tmp_path: Path) -> None:
    arguments = ("--input", "0.51,-1.52,0.33,2.14,0.25,-0.36,1.17", "--hidden", "3,3", "--digits", "6")
    done = mlpframe(tmp_path, "trace", *arguments, COLUMNS="100", FORCE_COLOR="1", TERM="xterm")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b[1m" in done.stdout
    lines = re.sub(r"\x1b\[[\d;]*m", "", done.stdout).splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.lstrip().startswith("W₁[6,2] ") and len(line.split()) == 7 for line in lines)


def test_html_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.html"
    assert run(["trace", "--loss", "mse", "--target", "0.5,-1,2", "--lr", "0.25", "--html", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    text = file.read_text(encoding="utf-8")
    assert "One example through 2-3-3" in text
    assert "t = (0.5, -1, 2), learning rate α = 0.25" in text


@pytest.mark.parametrize(
    ("arguments", "mentioned"),
    [
        (("--activation", "sigmod"), ("'sigmod'", "nearest: sigmoid")),
        (("--loss", "mce"), ("'mce'", "nearest: mse")),
        (("--hiden", "2"), ("--hiden", "--hidden")),
        (("--hidden", "10,10"), ("2-10-10-2", "162", "too many to read", "at most 50")),
        (("--hidden", "0"), ("2-0-2", "at least 1 unit")),
        (("--hidden", "2,x"), ("hidden", "whole numbers", "'2,x'")),
        (("--input", "1;2"), ("input", "numbers", "'1;2'")),
        (("--input", "1,nan"), ("input", "'1,nan'")),
        (("--input", ""), ("input", "''")),
        (("--target", "2"), ("target", "from 0 to 1", "not 2")),
        (("--target", "0.5"), ("target", "from 0 to 1", "not 0.5")),
        (("--loss", "mse", "--target", "1,2", "--outputs", "3"), ("from 0 to 2", "3 values", "not 1,2")),
        (("--outputs", "1"), ("cross_entropy", "at least 2 outputs")),
        (("--weights", "1,2"), ("2-3-2 has 17", "not 2")),
        (("--weights", "1,2", "--seed", "1"), ("weights", "seed", "not both")),
        (("--lr", "-1"), ("lr", "at least 0", "not -1")),
        (("--lr", "fast"), ("--lr", "'fast'")),
        (("--digits", "0"), ("--digits", "1<=x<=15")),
        (("--seed", "-1"), ("--seed", "x>=0")),
        (("--seed", "1", "--input", "1e4,1"), ("too large", "of about 1")),
        (("0.5",), ("0.5",)),
    ],
)
def test_arguments_that_cannot_be_traced_are_refused(
    arguments: tuple[str, ...], mentioned: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        run(["trace", *arguments])
    message = str(refused.value)
    assert len(message.splitlines()) <= 3
    for text in mentioned:
        assert text in message


def test_a_refused_trace_writes_no_file(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "trace", "--hidden", "50", "--html", "trace.html")
    assert (done.returncode, done.stdout) == (2, "")
    assert "too many to read" in done.stderr
    assert list(tmp_path.iterdir()) == []
