"""No picture ends a run: ``$`` in a text is drawn as text, and an error while drawing is only printed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpframe.figures.run import draw_array, draw_run
from mlpframe.figures.style import picture
from mlpframe.training import History

PNG = b"\x89PNG"
NAMES = ("$a_$", r"\frac{", "[/x]")


@pytest.mark.parametrize("columns", [(), NAMES])
def test_names_with_formula_characters_are_drawn_as_text(tmp_path: Path, columns: tuple[str, ...]) -> None:
    draw_array("matrix", np.eye(3), NAMES, columns, tmp_path)
    assert (tmp_path / "matrix.png").read_bytes().startswith(PNG)


def test_an_error_while_drawing_is_printed_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with picture(tmp_path / "broken.png"):
        raise ValueError("first line\nsecond line")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == "the figure broken.png could not be drawn: ValueError: first line\n"


def test_a_folder_that_cannot_be_written_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "figures").touch()
    history = History()
    history.add(1, {"train/loss": 1.0})
    draw_run(history, tmp_path / "figures")
    assert "loss.png could not be drawn" in capsys.readouterr().err


def test_a_run_without_losses_has_a_picture(tmp_path: Path) -> None:
    draw_run(History(), tmp_path)
    assert (tmp_path / "loss.png").read_bytes().startswith(PNG)
