"""The commands ``check`` and ``new``, and the conformance kit in pytest, each run in a process of its own."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from mlpframe.registry import KINDS
from tests.forking import ask
from tests.running import environment, mlpframe, run_python

MUTANTS = Path(__file__).parents[1] / "testing" / "mutants"


def wrong(folder: Path) -> Path:
    """A plugin file with a layer whose gradient is transposed and whose option is not checked."""
    text = (MUTANTS / "mix.py").read_text()
    text = text.replace("np.matmul(xT, dy, gW)", "np.matmul(dy.swapaxes(-1, -2), x, gW)")
    text = text.replace('check_range("gain", gain, above=0, maximum=10)', "pass")
    file = folder / "wrong_mix.py"
    file.write_text(text)
    return file


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The rows of the table that ``check`` prints: the outcome by the name of the check."""
    results = {}
    for line in done.stdout.splitlines():
        row = re.fullmatch(r"(?:\w+ \w+)? *(\S+(?: \S+)+)  +(ok|failed|skipped)(.*)", line)
        if row:
            results[row[1]] = f"{row[2]} {row[3].strip()}".strip()
    return results


# --- check -------------------------------------------------------------------------------------------


def test_a_correct_plugin_passes_in_every_folder(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "check", str(MUTANTS / "mix.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[1].startswith("layer kit_mix  ")
    assert set(rows(done).values()) == {"ok"}
    *_, factor, total = done.stdout.splitlines()
    assert total == f"1 component: {len(rows(done))} ok"
    assert re.fullmatch(
        r"layer kit_mix: its textbook form takes \d+\.\d times as long as its fast form \(256 .*\)", factor
    )


def test_a_wrong_plugin_fails_with_reasons(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "check", str(wrong(tmp_path)))
    assert (done.returncode, done.stderr) == (1, "")
    failed = {name: reason for name, reason in rows(done).items() if reason.startswith("failed")}
    assert failed.keys() == {
        "parameter derivatives equal the finite differences",
        "both forms compute the same",
        "training is the same without the fast form",
        "documented ranges are enforced",
        "NaN is refused",
    }
    slopes = failed["parameter derivatives equal the finite differences"]
    assert re.match(
        r"failed ∂l/∂W\[\d, \d\] is -?\d.*, expected -?\d.* \(batch 5, 4 features, training\)", slopes
    )
    ranges = failed["documented ranges are enforced"]
    assert ranges.startswith("failed gain=-1.0 is accepted, but its help says 'more than 0'")


def test_the_option_failed_shows_only_the_checks_that_fail(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "check", "--failed", str(wrong(tmp_path)))
    assert done.returncode == 1
    assert {reason.split()[0] for reason in rows(done).values()} == {"failed"}
    assert re.fullmatch(r"1 component: \d+ ok, 5 failed", done.stdout.splitlines()[-1])


def test_check_accepts_names_kinds_and_folders(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "check", "relu", "schedule/cosine", "engine/numpy", str(MUTANTS / "noise.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("4 components: ")
    for component in ("layer relu", "schedule cosine", "engine numpy", "initializer kit_noise"):
        assert component in done.stdout


def test_an_unknown_name_or_file_is_refused(tmp_path: Path) -> None:
    expected = {
        "relo": "there is no component or file 'relo'; nearest: relu",
        "optimizer/adm": "there is no optimizer 'adm'; nearest: adam",
        "nowhere.py": "there is no plugin file nowhere.py",
    }
    outcomes = ask([(tmp_path, ("check", name)) for name in expected], environment())
    for done, message in zip(outcomes, expected.values(), strict=True):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(message)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class (", "SyntaxError"),
        (
            "import a_module_that_nobody_has",
            "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
        ),
        ("x = 1", "registers no component"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused_with_its_error(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    done = mlpframe(tmp_path, "check", "broken.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "broken.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_plugin_may_import_a_helper_and_share_its_folder(tmp_path: Path) -> None:
    text = (MUTANTS / "noise.py").read_text()
    (tmp_path / "_scale.py").write_text("WIDTH = 0.1\n")
    helped = text.replace("import numpy as np\n", "import numpy as np\n\nfrom ._scale import WIDTH\n")
    (tmp_path / "helped.py").write_text(helped.replace("float = 0.1", "float = WIDTH"))
    (tmp_path / "other.py").write_text(text.replace("kit_noise", "kit_other"))
    done = mlpframe(tmp_path, "check", "helped.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "kit_other" not in done.stdout
    both = mlpframe(tmp_path, "check", "helped.py", ".", MLPFRAME_PLUGINS=str(tmp_path))
    assert (both.returncode, both.stderr) == (0, "")
    assert both.stdout.splitlines()[-1].startswith("2 components: ")


def test_an_error_that_fails_many_checks_is_reported_once(tmp_path: Path) -> None:
    text = (MUTANTS / "mix.py").read_text()
    assert "def bind(self, x, dx, p, g, ctx):" in text
    broken = text.replace(
        "def bind(self, x, dx, p, g, ctx):", 'def bind(self, x, dx, p, g, ctx):\n        raise KeyError("W")'
    )
    (tmp_path / "broken.py").write_text(broken)
    done = mlpframe(tmp_path, "check", "broken.py")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("KeyError: 'W'") == 1
    shown = " ".join(done.stdout.split())  # long reasons are on several lines
    assert re.search(
        r"KeyError: 'W' \(\S*broken\.py:\d+\) \(\d\d more checks failed for this reason\)", shown
    )


# --- new ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin of every kind that ``new`` has written."""
    folder = tmp_path_factory.mktemp("new")
    for kind in KINDS:
        done = mlpframe(folder, "new", kind, f"my_{kind}")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"wrote   my_plugins/my_{kind}.py\nwrote   my_plugins/test_my_{kind}.py\n" in done.stdout
    return folder


def test_the_new_plugin_of_every_kind_passes_its_test(written: Path) -> None:
    done = run_python(written, "-m", "pytest", "-p", "no:cacheprovider", "-v", "my_plugins")
    assert done.returncode == 0, done.stdout
    for kind in KINDS:
        facts = re.findall(rf"test_my_{kind}\.py::(\w+)(\[.*\])? PASSED", done.stdout)
        assert sum(bool(case) for _, case in facts) > 5
        assert sum(not case for _, case in facts) == 1


def test_the_new_plugin_of_every_kind_passes_the_check(written: Path) -> None:
    done = mlpframe(written, "check", "my_plugins")
    assert (done.returncode, done.stderr) == (0, "")
    no_fast_form = {
        "skipped the component has only a textbook form",
        "skipped the component has only a textbook form, which may allocate",
    }
    assert set(rows(done).values()) == {"ok", *no_fast_form}
    assert done.stdout.splitlines()[-1].startswith(f"{len(KINDS)} components: ")


def test_a_new_plugin_has_its_own_name_and_no_trace_of_the_template(written: Path) -> None:
    for kind in KINDS:
        for file in (f"my_{kind}.py", f"test_my_{kind}.py"):
            text = (written / "my_plugins" / file).read_text()
            assert "template" not in text.lower()
            assert ast.get_docstring(ast.parse(text))
        name = "".join(["My", kind.capitalize()])
        assert (
            f'@register("my_{kind}")\nclass {name}(' in (written / "my_plugins" / f"my_{kind}.py").read_text()
        )


def test_a_new_plugin_works_immediately(written: Path) -> None:
    done = mlpframe(written, "list", "layer", "my_layer", MLPFRAME_PLUGINS="my_plugins")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("layer my_layer: ")


def test_the_test_of_a_new_plugin_may_be_in_another_folder(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "new", "schedule", "slope", "--folder", "src/parts", "--tests", "tests")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "src" / "parts" / "slope.py").exists()
    tested = run_python(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_slope.py")
    assert tested.returncode == 0, tested.stdout


def test_a_name_or_folder_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    expected = {
        ("optimzer", "mine"): "there is no kind 'optimzer'; nearest: optimizer",
        ("layer", "relu"): "the layer 'relu' exists already, in ",
        ("layer", "my-layer"): "'my-layer' is not a component's name; expected a lower-case Python name",
        ("layer", "class"): "'class' is not a component's name",
        ("layer", "MyLayer"): "'MyLayer' is not a component's name",
        ("layer", "_mine"): "a plugin file named _mine.py would not be loaded",
        ("layer", "test_mine"): "a plugin file named test_mine.py would not be loaded",
    }
    outcomes = ask([(tmp_path, ("new", *arguments)) for arguments in expected], environment())
    for done, message in zip(outcomes, expected.values(), strict=True):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", ["my_plugins/mine.py", "my_plugins/test_mine.py"])
def test_new_overwrites_no_file(tmp_path: Path, file: str) -> None:
    (tmp_path / "my_plugins").mkdir()
    (tmp_path / file).write_text("x = 1\n")
    done = mlpframe(tmp_path, "new", "layer", "mine")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{file} exists already; choose another name or folder\n"
    assert [path.read_text() for path in (tmp_path / "my_plugins").iterdir()] == ["x = 1\n"]


# --- pytest ------------------------------------------------------------------------------------------


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(folder, "-m", "pytest", "-p", "no:cacheprovider", *arguments)


def test_pytest_has_a_test_for_every_check_of_a_plugin(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-v", f"--mlpframe-plugin={MUTANTS / 'mix.py'}")
    assert done.returncode == 0, done.stdout
    names = re.findall(r"layer kit_mix: (.*?) PASSED", done.stdout)
    assert "input derivative equals the finite difference" in names
    assert names == list(rows(mlpframe(tmp_path, "check", str(MUTANTS / "mix.py"))))


def test_pytest_shows_the_fact_and_the_failure(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, f"--mlpframe-plugin={wrong(tmp_path)}", "-k", "parameter or ranges")
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "Every option refuses numbers outside the range in its help, with an error" in done.stdout
    assert "gain=-1.0 is accepted, but its help says 'more than 0'" in done.stdout
    assert "kit.py" not in done.stdout  # the author of a plugin needs a line of the plugin, not of the kit


def test_pytest_adds_the_checks_to_the_tests_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    done = run_pytest(tmp_path, "-v", "--mlpframe-plugin=relu", "--mlpframe-plugin=schedule/cosine")
    assert done.returncode == 0, done.stdout
    assert "test_own.py::test_own PASSED" in done.stdout
    assert "layer relu: " in done.stdout
    assert "schedule cosine: " in done.stdout
    assert "1 passed" in run_pytest(tmp_path).stdout


def test_pytest_names_a_plugin_that_cannot_be_loaded(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--mlpframe-plugin=nowhere.py")
    assert done.returncode == 4
    assert "--mlpframe-plugin: there is no plugin file nowhere.py" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_pytest_skips_a_check_that_cannot_be_made(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-rs", "--mlpframe-plugin=dataset/npy", "-k", "shapes")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "x, y must be given" in done.stdout
