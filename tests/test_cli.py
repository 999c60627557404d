"""The command line, run as users run it: in new processes and new folders."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.training import checkpoint
from tests.forking import ask
from tests.running import environment, history, mlpframe, run_folders, run_python, the_run

Done = subprocess.CompletedProcess[str]
NONE = "tracking=none"
SMALL = ("dataset=synth", "dataset.num_train=256", "dataset.num_val=64", "epochs=2")
"""The settings of a run that takes almost no time."""


def all_at_once(commands: dict[str, Callable[[], Done]]) -> dict[str, Done]:
    """Run the commands, a few at a time, because most of the time is the start of Python."""
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        started = {name: pool.submit(command) for name, command in commands.items()}
        return {name: future.result() for name, future in started.items()}


def run_all(
    folders: pytest.TempPathFactory, commands: dict[str, tuple[str, ...]], **extra: str
) -> dict[str, tuple[Path, Done]]:
    """Run ``python -m mlpframe`` with each list of arguments. Returns folders and completed processes."""
    places = {name: folders.mktemp("run") for name in commands}

    def run(name: str) -> Callable[[], Done]:
        return lambda: mlpframe(places[name], *commands[name], **extra)

    done = all_at_once({name: run(name) for name in commands})
    return {name: (places[name], done[name]) for name in commands}


# --- wrong requests ----------------------------------------------------------------------------------

Request = tuple[str, ...]
WRONG: list[tuple[Request, tuple[str, ...]]] = [  # the request, and the texts that the message must contain
    # names
    (("optimzer=adam",), ("'optimzer'", "nearest: optimizer")),
    ((NONE, "optimizer=adm"), ("no optimizer 'adm'", "nearest: adam")),
    (("tracking=mlflw",), ("no tracking 'mlflw'", "nearest: mlflow")),
    ((NONE, "model.hiden=[3]"), ("'model.hiden'", "nearest: model.hidden")),
    ((NONE, "optimizer.lr=0.1"), ("'optimizer.lr'", "nearest: lr")),
    ((NONE, "schedule.update_step=100"), ("'schedule.update_step'",)),
    ((NONE, "metrics.acuracy={}"), ("no metric 'acuracy'", "nearest: accuracy")),
    ((NONE, *SMALL, "callbacks.progres=null"), ("no callback 'progres'", "nearest: progress")),
    (("tracking.name=mlflw", *SMALL), ("mlflw", "mlflow", "none")),
    ((NONE, *SMALL, "engine=nump"), ("no engine 'nump'", "nearest: numpy")),
    ((NONE, *SMALL, "model.activation=rellu"), ("no layer 'rellu'", "nearest: relu")),
    ((NONE, *SMALL, "model.init=norml"), ("no initializer 'norml'", "nearest: normal")),
    ((NONE, *SMALL, "callbacks.early_stopping.monitor=val/acuracy"), ("val/acuracy", "val/accuracy")),
    (
        (NONE, "optimizer.beta1=.9"),
        ("'optimizer.beta1' with optimizer=sgd", "optimizer with beta1: ", "adam"),
    ),
    (
        (NONE, "optimizer=adam,sgd"),
        ("expected one experiment, not several", "-m optimizer=adam,sgd"),
    ),
    ((NONE, "metrics=f1"), ("metrics is a dictionary", "metrics.f1={} adds f1")),
    ((NONE, "experiment=2.5"), ("experiment=2.5: expected a name", "mnist_best")),
    ((NONE, "loss=[0]"), ("loss=[0]: expected a name", "cross_entropy")),
    (("tracking={a:1}",), ("tracking={a:1}: expected a name", "mlflow, none")),
    ((NONE, "transforms.cutout={1:2}"), ("transforms.cutout has no option '1'",)),
    ((NONE, "dataset.test=inf"), ("test must be a fraction below 1 or a number of rows, not inf",)),
    ((NONE, "dataset=blobs", "dataset.rows=99999999999999999999"), ("dataset=blobs cannot be loaded",)),
    # types
    ((NONE, "lr=fast"), ("lr=fast", "Float")),
    ((NONE, "callbacks.progress.every_seconds=soon"), ("callbacks.progress.every_seconds", "'soon'")),
    ((NONE, "optimizer=null"), ("optimizer",)),
    ((NONE, "+new=1"), ("'new'",)),
    ((NONE, *SMALL, "model.activation=5"), ("model 'mlp'", "activation", "not 5")),
    ((NONE, *SMALL, "model.init=5"), ("init", "name", "5")),
    ((NONE, *SMALL, "model.init={name: normal, std: wide}"), ("initializer 'normal'", "std", "'wide'")),
    ((NONE, *SMALL, "schedule=warmup", "schedule.then=5"), ("schedule", "name", "not 5")),
    # values
    (("epochs=0",), ("epochs must be at least 1, not 0",)),
    ((NONE, "optimizer=adam", "optimizer.beta1=2"), ("optimizer 'adam'", "beta1", "less than 1", "not 2")),
    ((NONE, *SMALL, "model=layers"), ("model", "layers")),
    ((NONE, *SMALL, "final=true"), ("final=true needs a test part", "dataset.test")),
    ((NONE, *SMALL, "dataset.num_val=0", "dataset.validation=256"), ("256 of 256 rows", "expected 1 to 255")),
    # files and folders
    ((NONE, "dataset=mnist", "dataset.mirrors=[]", "data_dir=nowhere"), ("missing", "nowhere/mnist/")),
    ((NONE, "hydra.run.dir=a_file/run"), ("a_file/run", "Not a directory")),
    (("-m", NONE, "hydra.sweep.dir=a_file/sweep", "lr=0.1,0.2"), ("a_file/sweep", "Not a directory")),
    (("resume=no_such_run",), ("resume=no_such_run",)),
    # arguments without key=value
    (("lr",), ("'lr'", "key=value")),
    ((NONE, "run_name=hello!"), ("'run_name=hello!'",)),
    ((NONE, "lr=0.1,0.2"), ("lr=0.1,0.2",)),
    (("--epochs=3",), ("--epochs",)),
    (("-m", NONE, "optimizer=sgd,adm"), ("no optimizer 'adm'", "nearest: adam")),
    # commands
    (("lst",), ("'lst' is neither a command nor a setting key=value", "nearest: list")),
    (("list", "optimzer"), ("no kind 'optimzer'", "nearest: optimizer")),
    (("list", "optimizer", "adm"), ("no optimizer 'adm'", "nearest: adam")),
    (("list", "--all"), ("--all",)),
    (("ui", "--port", "http"), ("--port", "'http'")),
]


def short(request: Request) -> str:
    """The wrong part of a request, without the settings that only save time."""
    return " ".join(part for part in request if part not in (NONE, *SMALL))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each wrong request, with a file where some requests want a folder."""
    by_request = {short(request): tmp_path_factory.mktemp("wrong") for request, _ in WRONG}
    for folder in by_request.values():
        (folder / "a_file").touch()
    return by_request


@pytest.fixture(scope="module")
def answers(request: pytest.FixtureRequest, folders: dict[str, Path]) -> dict[str, Done]:
    """The completed process of each wrong request that this session tests."""
    items = [item for item in request.session.items if getattr(item, "module", None) is request.module]
    calls = [getattr(item, "callspec", None) for item in items]
    requests = sorted({call.params["wrong"] for call in calls if call and "wrong" in call.params})
    processes = ask([(folders[short(wrong)], wrong) for wrong in requests], environment())
    return {short(wrong): process for wrong, process in zip(requests, processes, strict=True)}


def assert_refused(done: Done) -> None:
    """Assert exit status 2, and a message of one to three lines without traceback and repetition."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert 1 <= len(lines) <= 3
    assert all(re.search(r"\w", line) for line in lines)
    assert not done.stderr.rstrip().endswith("^")  # a parser's mark without the line to which it belongs
    for names in re.findall(r"(?:nearest|known): (.*)", done.stderr):
        assert len(set(names.split(", "))) == len(names.split(", "))


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("wrong", "mentioned"), WRONG, ids=[short(request) for request, _ in WRONG])
def test_a_wrong_request_is_answered_in_a_few_lines(
    answers: dict[str, Done], wrong: Request, mentioned: tuple[str, ...]
) -> None:
    done = answers[short(wrong)]
    assert_refused(done)
    for text in mentioned:
        assert text in done.stderr


@pytest.mark.parametrize("wrong", [request for request, _ in WRONG], ids=short)
def test_a_wrong_request_leaves_nothing_behind(
    answers: dict[str, Done], folders: dict[str, Path], wrong: Request
) -> None:
    assert answers[short(wrong)].returncode
    assert files_below(folders[short(wrong)] / "outputs") == []
    assert (folders[short(wrong)] / "a_file").read_bytes() == b""


def test_a_missing_folder_of_plugins_is_reported(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "list", MLPFRAME_PLUGINS=str(tmp_path / "nowhere"))
    assert_refused(done)
    assert f"MLPFRAME_PLUGINS names '{tmp_path / 'nowhere'}', which is not a folder" in done.stderr


def test_a_wrong_request_keeps_a_folder_that_existed_before(tmp_path: Path) -> None:
    (tmp_path / "here" / "mine").mkdir(parents=True)
    assert_refused(mlpframe(tmp_path / "here", NONE, "epochs=0", "hydra.run.dir=mine/run"))
    assert (tmp_path / "here" / "mine").is_dir()
    assert list((tmp_path / "here" / "mine").iterdir()) == []


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = mlpframe(tmp_path, "--debug", NONE, "lr=fast")
    assert done.returncode
    assert "Traceback" in done.stderr
    assert "lr=fast" in done.stderr


# --- help, lists and plugins -------------------------------------------------------------------------

GOOD = '''
from mlpframe.api import Optimizer, check_range, register

@register("crawl")
class Crawl(Optimizer):
    """Steps of one size.

    Options:
        pace: the size, more than 0.
    """

    default_lr = 0.1

    def __init__(self, *, pace: {type} = {default}) -> None:
        self.pace = pace

    def update(self, w, g, slots, lr, step, scratch):
        w -= lr * g
'''
BROKEN = (
    GOOD.replace("crawl", "stumble").format(type="float", default="0.5") + "\nraise RuntimeError('fell over')"
)


def write_plugins(folder: Path, **files: str) -> Path:
    (folder / "optimizer").mkdir(parents=True)
    for name, text in files.items():
        (folder / "optimizer" / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with a plugin that works, its preset, and a broken plugin."""
    good = GOOD.format(type="float", default="0.5")
    folder = write_plugins(tmp_path_factory.mktemp("plugins"), crawl=good, stumble=BROKEN)
    (folder / "conf" / "optimizer").mkdir(parents=True)
    (folder / "conf" / "optimizer" / "creep.yaml").write_text("defaults: [crawl, _self_]\npace: 0.01\n")
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> dict[str, tuple[Path, Done]]:
    """Folders and completed processes of commands that load these plugins."""
    return run_all(
        tmp_path_factory,
        {
            "help": ("optimizer=creep", "--help"),
            "list": ("list",),
            "list loss": ("list", "loss"),
            "list adam": ("list", "optimizer", "adam"),
            "crawl": (NONE, *SMALL, "optimizer=crawl", "optimizer.pace=0.25"),
            "stumble": (NONE, "optimizer=stumble"),
        },
        MLPFRAME_PLUGINS=str(plugins),
    )


def test_help_shows_the_groups_and_the_options_of_the_chosen_components(
    shown: dict[str, tuple[Path, Done]],
) -> None:
    folder, done = shown["help"]
    assert done.returncode == 0
    lines = re.findall(r"^(\w+): (.*)$", done.stdout, re.MULTILINE)
    groups = dict(reversed(lines))  # the first line of a group lists its choices
    for kind in ("dataset", "loss", "optimizer", "schedule"):
        assert set(registries[kind].names()) <= set(groups[kind].split(", "))
    assert {"adaptive", "crawl", "creep"} <= set(groups["optimizer"].split(", "))
    assert {"mlp", "layers"} <= set(groups["model"].split(", "))
    assert {"mlflow", "none"} <= set(groups["tracking"].split(", "))
    assert "optimizer:\n  name: crawl\n  pace: 0.01\n" in done.stdout
    assert files_below(folder) == []


def test_list_shows_every_component_and_every_broken_plugin(
    shown: dict[str, tuple[Path, Done]], plugins: Path
) -> None:
    _, done = shown["list"]
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for kind in registries:
        assert kind in [line.strip() for line in lines]
        for name in registries[kind].names():
            assert any(line.split()[:1] == [name] for line in lines)
    (crawl,) = [line for line in lines if line.split()[:1] == ["crawl"]]
    assert "Steps of one size." in crawl
    assert str(plugins) in done.stdout
    (broken,) = [line for line in lines if line.startswith("broken: ")]
    assert "stumble" in broken
    assert "RuntimeError: fell over" in broken
    assert str(plugins / "optimizer" / "stumble.py") in broken


def test_list_of_a_kind_shows_only_that_kind(shown: dict[str, tuple[Path, Done]]) -> None:
    _, done = shown["list loss"]
    assert done.returncode == 0
    assert all(name in done.stdout for name in registries["loss"].names())
    assert "adam" not in done.stdout


def test_list_of_a_component_shows_its_options(shown: dict[str, tuple[Path, Done]]) -> None:
    _, done = shown["list adam"]
    assert done.returncode == 0
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.strip()}
    assert rows["beta1"][1:3] == ["float", "0.9"]
    assert rows["decoupled"][1:3] == ["bool", "false"]
    assert rows["clip_norm"][1:5] == ["float", "or", "null", "null"]
    info = registries["optimizer"].info("adam")
    assert info.summary in done.stdout
    assert info.source in done.stdout
    assert "adam.py:" in done.stdout
    assert "built-in" in done.stdout


def test_a_broken_plugin_does_not_affect_other_plugins(shown: dict[str, tuple[Path, Done]]) -> None:
    folder, done = shown["crawl"]
    assert done.returncode == 0
    assert "RuntimeError: fell over" in done.stderr
    assert "pace: 0.25" in (the_run(folder) / "config" / "config.yaml").read_text()


def test_asking_for_a_broken_plugin_says_why_it_is_broken(shown: dict[str, tuple[Path, Done]]) -> None:
    _, done = shown["stumble"]
    assert_refused(done)
    assert "optimizer 'stumble' could not be loaded" in done.stderr
    assert "RuntimeError: fell over" in done.stderr


def test_an_option_of_a_type_that_cannot_be_configured_breaks_only_its_plugin(tmp_path: Path) -> None:
    plugins = write_plugins(tmp_path / "plugins", crawl=GOOD.format(type="complex", default="1j"))
    done = mlpframe(tmp_path, NONE, *SMALL, MLPFRAME_PLUGINS=str(plugins))
    assert done.returncode == 0, done.stderr


def test_completion_offers_names_and_options(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("mlpframe")
    if not script.exists():
        pytest.skip(f"the package is not installed: there is no {script}")

    def complete(line: str, flag: str) -> Callable[[], Done]:
        command = [str(script), flag, "query=bash"]  # as the completion script of bash calls the command
        return lambda: subprocess.run(
            command, cwd=tmp_path, env=environment(COMP_LINE=line), capture_output=True, text=True, check=True
        )

    offered = all_at_once(
        {
            "name": complete("mlpframe optimizer=ad", "--shell-completion"),
            "option": complete("mlpframe optimizer=adam optimizer.be", "-sc"),
        }
    )
    names = offered["name"].stdout.split()
    assert {"optimizer=adam", "optimizer=adamw", "optimizer=adaptive"} <= set(names)
    assert all(name.startswith("optimizer=ad") for name in names)
    assert offered["option"].stdout.split() == ["optimizer.beta1=", "optimizer.beta2="]


# --- the output of a run, and the same bits again ----------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Done]]:
    """Run the same command twice, and once with another seed and without progress."""
    command = (NONE, *SMALL, "optimizer=adam", "batch_size=20", "callbacks.progress.every_seconds=0")
    commands = {
        "first": command,
        "again": command,
        "silent": (*command[:-1], "callbacks.progress=null", "seed=1"),
    }
    return run_all(tmp_path_factory, commands)


def test_without_a_terminal_progress_is_printed_in_lines(runs: dict[str, tuple[Path, Done]]) -> None:
    folder, done = runs["first"]
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    epochs = [line for line in lines if "epoch " in line]
    assert len(epochs) == 2
    assert "epoch 1/2" in epochs[0]
    assert "epoch 2/2" in epochs[1]
    assert "val accuracy" in epochs[0]
    assert str(the_run(folder).relative_to(folder)) in lines[-1]


def test_a_run_without_progress_prints_nothing(runs: dict[str, tuple[Path, Done]]) -> None:
    folder, done = runs["silent"]
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert the_run(folder).is_dir()


def test_the_same_command_gives_the_same_bits(runs: dict[str, tuple[Path, Done]]) -> None:
    first, again, other = (the_run(runs[name][0]) for name in ("first", "again", "silent"))
    saved, meta = checkpoint.load(first / "checkpoints" / "last.npz")
    repeated, meta_again = checkpoint.load(again / "checkpoints" / "last.npz")
    differing = [name for name in saved if saved[name].tobytes() != repeated[name].tobytes()]
    assert all(name.startswith("history/time/") for name in differing)
    assert saved.keys() == repeated.keys() >= {"w", "slot/m_sum", "slot/v_sum"}
    assert meta == meta_again
    assert history(first, without_time=True) == history(again, without_time=True) != []
    assert not np.array_equal(saved["w"], checkpoint.load(other / "checkpoints" / "last.npz")[0]["w"])


def run_on_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run ``python -m mlpframe`` on a terminal of 120 columns. Returns exit status and output."""
    near_end, far_end = pty.openpty()
    fcntl.ioctl(far_end, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    command = [sys.executable, "-m", "mlpframe", *arguments]
    with subprocess.Popen(
        command, cwd=folder, env=environment(TERM="xterm"), stdin=far_end, stdout=far_end, stderr=far_end
    ) as process:
        os.close(far_end)
        shown = b""
        try:
            while chunk := os.read(near_end, 65536):
                shown += chunk
        except OSError:  # Linux raises this error after the other side has closed
            pass
        os.close(near_end)
    return process.returncode, shown.decode()


def test_a_terminal_shows_a_progress_bar(tmp_path: Path) -> None:
    status, shown = run_on_terminal(tmp_path, NONE, *SMALL)
    assert status == 0
    assert "━" in shown
    assert "\x1b[" in shown
    assert "2/2" in shown
    assert "reached" in shown
    assert len(run_folders(tmp_path)) == 1


def test_the_script_and_the_module_print_the_same(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("mlpframe")
    if not script.exists():
        pytest.skip(f"the package is not installed: there is no {script}")
    module = mlpframe(tmp_path, "list", "schedule")
    assert run_python(tmp_path, str(script), "list", "schedule").stdout == module.stdout != ""
