"""Registries find and create components, read options from classes, and survive broken plugins."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mlpframe import registries
from mlpframe.api import Optimizer, Preparation, UpdateRules, UsageError, check_range
from mlpframe.registry import REQUIRED, Registry, docstring_parts, nearest, options_of
from tests.running import ROOT, run_python

COMPONENTS = [(kind, name) for kind in registries for name in registries[kind].names()]


class Sketch(Optimizer):
    """A step along the gradient.

    w ← w − rate g

    Options:
        rate: how far, more than 0;
            in units of the weights.
        label: a name for people.

    Source: Nobody 2020, "A paper
        with a long title".
    """

    default_lr = 0.1

    def __init__(self, *, rate: float, label: str | None = None) -> None:
        check_range("rate", rate, above=0)
        self.rate, self.label = rate, label

    def update(self, w: Any, g: Any, slots: Any, lr: float, step: int, scratch: Any) -> None: ...


@pytest.fixture
def registry() -> Registry:
    new_registry = Registry("optimizer")
    new_registry.add("sketch", Sketch, "the tests")
    return new_registry


# --- names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        ("optimizer", "adm", "adam"),
        ("optimizer", "SGD", "sgd"),
        ("schedule", "cosin", "cosine"),
        ("loss", "crossentropy", "cross_entropy"),
    ],
)
def test_an_unknown_name_is_a_key_error_that_names_the_nearest(kind: str, name: str, expected: str) -> None:
    with pytest.raises(KeyError) as caught:
        registries[kind][name]
    assert isinstance(caught.value, UsageError)
    text, _, names = str(caught.value).partition("; nearest: ")
    assert text == f"there is no {kind} {name!r}"
    assert expected in names.split(", ")


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(KeyError, match="'optimzer'; nearest: optimizer"):
        registries["optimzer"]


def test_few_names_are_all_listed_if_none_is_near() -> None:
    assert nearest("zzz", ["b", "a"]) == "known: a, b"
    assert nearest("zzz", []) == "there are none"
    many = nearest("zzz", [f"name{i:02}" for i in range(25)])
    assert "name00" in many
    assert "name24" not in many
    assert "25 in all" in many


def test_names_are_sorted_and_every_name_can_be_looked_up() -> None:
    for kind in registries:
        names = registries[kind].names()
        assert names == sorted(names)
        assert all(name in registries[kind] and registries[kind][name].name == name for name in names)
        assert "no such name" not in registries[kind]


# --- creating components -----------------------------------------------------------------------------


def test_a_component_is_created_from_a_name_or_a_mapping(registry: Registry) -> None:
    spec = {"name": "sketch", "rate": 2.0}
    for sketch in (
        registry.create("sketch", rate=2.0),
        registry.create(spec),
        registry.create({"name": "sketch"}, rate=2.0),
    ):
        assert isinstance(sketch, Sketch)
        assert (sketch.rate, sketch.label) == (2.0, None)
    assert spec == {"name": "sketch", "rate": 2.0}


def test_shared_options_belong_to_the_instance(registry: Registry) -> None:
    sketch = registry.create("sketch", rate=1.0, weight_decay=0.5, decoupled=True)
    assert sketch.shared == UpdateRules(weight_decay=0.5, decoupled=True)
    assert Sketch.shared == registry.create("sketch", rate=1.0).shared == UpdateRules()


def test_the_class_sets_the_defaults_of_shared_options() -> None:
    assert registries["dataset"].create("iris", test=0.1).shared == Preparation(
        validation=0.2, test=0.1, split="stratified", scaling="standard"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rat": 1.0}, "optimizer 'sketch' has no option 'rat'; nearest: rate"),
        ({"rate": 1.0, "weight_decy": 1.0}, "no option 'weight_decy'; nearest: weight_decay"),
        ({}, "needs its option 'rate': how far, more than 0"),
        ({"rate": 0.0}, "optimizer 'sketch': rate must be more than 0, not 0.0"),
        ({"rate": float("nan")}, "rate must be more than 0, not nan"),
        ({"rate": "fast"}, "optimizer 'sketch'"),
        (
            {"rate": 1.0, "weight_decay": -1.0},
            "optimizer 'sketch': weight_decay must be at least 0, not -1.0",
        ),
    ],
)
def test_wrong_options_are_refused_with_the_name_of_the_component(
    registry: Registry, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        registry.create("sketch", **options)


@pytest.mark.parametrize(
    "spec", [{}, {"rate": 1.0}, {"name": None}, {"name": 5}, 5, None, ["sketch"]], ids=str
)
def test_a_spec_without_a_name_is_refused(registry: Registry, spec: Any) -> None:
    with pytest.raises(UsageError, match="must be a name or a mapping with the key 'name', not "):
        registry.create(spec)


# --- registering -------------------------------------------------------------------------------------


def test_a_name_can_be_registered_only_once(registry: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        registry.add("sketch", registries["optimizer"]["adam"], "the tests")
    assert "optimizer 'sketch' is registered twice" in str(caught.value)
    assert str(Path(__file__)) in str(caught.value)
    assert str(ROOT / "plugins" / "optimizer" / "adam.py") in str(caught.value)
    assert registry["sketch"] is Sketch


class Positional:
    def __init__(self, rate: float = 1.0) -> None: ...


class Untyped:
    def __init__(self, *, rate=1.0) -> None: ...


class Anything:
    def __init__(self, **rates: float) -> None: ...


@pytest.mark.parametrize("cls", [Positional, Untyped, Anything])
def test_options_are_keyword_only_and_typed(registry: Registry, cls: type) -> None:
    with pytest.raises(TypeError, match=r"'rates?' must be keyword-only and typed"):
        registry.add("other", cls, "the tests")
    assert registry.names() == ["sketch"]


# --- the description of a class ----------------------------------------------------------------------


def test_options_come_from_the_signature_and_the_docstring() -> None:
    rate, label, *shared = options_of(Sketch)
    assert (rate.name, rate.type, rate.default) == ("rate", float, REQUIRED)
    assert rate.doc == "how far, more than 0; in units of the weights."
    assert (label.name, label.type, label.default, label.doc) == (
        "label",
        str | None,
        None,
        "a name for people.",
    )
    defaults = {option.name: option.default for option in shared}
    assert defaults == {
        "weight_decay": 0.0,
        "decoupled": False,
        "no_decay": [],
        "clip_value": None,
        "clip_each": None,
        "clip_norm": None,
        "rates": {},
    }
    assert all(option.doc for option in shared)


def test_a_docstring_has_four_parts() -> None:
    summary, formula, options, source = docstring_parts(Sketch.__doc__ or "")
    assert summary == "A step along the gradient."
    assert formula == "w ← w − rate g"
    assert list(options) == ["rate", "label"]
    assert source == 'Nobody 2020, "A paper with a long title".'
    assert docstring_parts("One line.") == ("One line.", "", {}, "")
    assert docstring_parts("") == ("", "", {}, "")


def test_info_describes_a_component(registry: Registry) -> None:
    info = registry.info("sketch")
    assert (info.kind, info.name, info.cls, info.provider) == ("optimizer", "sketch", Sketch, "the tests")
    assert (info.summary, info.formula) == ("A step along the gradient.", "w ← w − rate g")
    assert info.options == options_of(Sketch)
    assert info.file == Path(__file__)
    assert info.file.read_text().splitlines()[info.line - 1] == "class Sketch(Optimizer):"
    with pytest.raises(KeyError, match="'sketsh'; nearest: sketch"):
        registry.info("sketsh")


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_info_has_the_file_the_line_and_the_options_of_the_class(kind: str, name: str) -> None:
    info = registries[kind].info(name)
    lines = info.file.read_text().splitlines()[info.line - 1 :]
    assert lines[0].startswith((f'@register("{name}")', f"class {info.cls.__name__}"))
    shared = getattr(info.cls, "shared", None)
    named = [*inspect.signature(info.cls).parameters, *(vars(shared) if shared else ())]
    assert [option.name for option in info.options] == named


# --- broken plugins, each in a new process because a process has only one set of registries ----------

WORKS = """
from mlpframe.api import Optimizer, register

@register("{name}")
class Plugin(Optimizer):
    \"\"\"A plugin.\"\"\"

    default_lr = 0.1

    def update(self, w, g, slots, lr, step, scratch): w -= lr * g
"""
REPORT = """
import dataclasses, json
from mlpframe import registries
from mlpframe.discovery import preset_folders
print(json.dumps({
    "names": {kind: registries[kind].names() for kind in registries},
    "broken": {broken.name: dataclasses.asdict(broken) for broken in registries.broken},
    "presets": [str(folder) for folder in preset_folders()],
    "providers": {name: registries["optimizer"].info(name).provider
                  for name in registries["optimizer"].names()},
}))
"""


def load_in_new_process(*folders: Path) -> dict[str, Any]:
    """The contents of the registries of a new process whose ``MLPFRAME_PLUGINS`` names the folders."""
    done = run_python(ROOT, "-c", REPORT, MLPFRAME_PLUGINS=os.pathsep.join(map(str, folders)))
    done.check_returncode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.fixture(scope="module")
def built_in() -> dict[str, list[str]]:
    names: dict[str, list[str]] = load_in_new_process()["names"]
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with plugins that fail in every way, and one that works."""
    folder = tmp_path_factory.mktemp("plugins")
    write(
        folder,
        {
            "optimizer/syntax.py": "class (",
            "optimizer/raises.py": WORKS.format(name="raises") + "raise RuntimeError('too late\\nfor this')",
            "optimizer/leaves.py": WORKS.format(name="leaves") + "import sys\nsys.exit(3)",
            "optimizer/lacks.py": WORKS.format(name="lacks") + "import a_module_that_nobody_has",
            "loss/unfit.py": WORKS.format(name="unfit").replace(
                "default_lr = 0.1", "def __init__(self, a): ..."
            ),
            "optimizer/adam.py": WORKS.format(name="adam"),
            "optimizer/twice_a.py": WORKS.format(name="twice"),
            "optimizer/twice_b.py": WORKS.format(name="twice"),
            "optimizer/works.py": "from ._helper import RATE\n" + WORKS.format(name="works"),
            "optimizer/_helper.py": "RATE = 1",
            "optimizer/test_works.py": "raise RuntimeError('tests are no plugins')",
            "conf/optimizer/slow.yaml": "defaults: [works, _self_]",
        },
    )
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> dict[str, Any]:
    return load_in_new_process(folder)


def test_a_plugin_that_fails_does_not_affect_other_plugins(
    loaded: dict[str, Any], built_in: dict[str, list[str]]
) -> None:
    expected = {**built_in, "optimizer": sorted([*built_in["optimizer"], "works", "twice"])}
    assert loaded["names"] == expected
    assert loaded["providers"]["adam"] == "built-in"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("syntax", "SyntaxError"),
        ("raises", "RuntimeError: too late"),
        ("leaves", "SystemExit: 3"),
        ("lacks", "ModuleNotFoundError"),
        ("unfit", "TypeError: Plugin.__init__: option 'a' must be keyword-only"),
        ("adam", "UsageError: optimizer 'adam' is registered twice"),
        ("twice_b", "UsageError: optimizer 'twice' is registered twice"),
    ],
)
def test_a_plugin_that_fails_is_listed_with_its_error(
    loaded: dict[str, Any], folder: Path, name: str, error: str
) -> None:
    broken = loaded["broken"][name]
    assert broken["error"].startswith(error)
    assert "\n" not in broken["error"]
    assert Path(broken["file"]) in folder.rglob(f"{name}.py")
    assert broken["provider"] == str(folder)


def test_no_other_plugin_is_listed_as_broken(loaded: dict[str, Any]) -> None:
    assert sorted(loaded["broken"]) == ["adam", "lacks", "leaves", "raises", "syntax", "twice_b", "unfit"]


def test_a_name_registered_twice_names_both_files(loaded: dict[str, Any], folder: Path) -> None:
    error = loaded["broken"]["twice_b"]["error"]
    assert str(folder / "optimizer" / "twice_a.py") in error
    assert str(folder / "optimizer" / "twice_b.py") in error
    error = loaded["broken"]["adam"]["error"]
    assert str(ROOT / "plugins" / "optimizer" / "adam.py") in error
    assert str(folder / "optimizer" / "adam.py") in error


def test_a_folder_of_plugins_adds_its_presets(loaded: dict[str, Any], folder: Path) -> None:
    assert loaded["presets"] == [str(folder / "conf")]


def test_modules_that_a_failed_plugin_imported_stay_loaded(
    tmp_path: Path, built_in: dict[str, list[str]]
) -> None:
    # "borrows" is loaded first and imports "works"; when "borrows" fails, "works" has not failed
    write(
        tmp_path,
        {
            "borrows.py": "from .works import Plugin\n" + WORKS.format(name="borrows") + "\nraise ValueError",
            "works.py": WORKS.format(name="works"),
        },
    )
    loaded = load_in_new_process(tmp_path)
    assert list(loaded["broken"]) == ["borrows"]
    assert loaded["names"]["optimizer"] == sorted([*built_in["optimizer"], "works"])


def test_several_folders_may_have_files_of_the_same_name(tmp_path: Path) -> None:
    write(tmp_path, {f"{folder}/same.py": WORKS.format(name=folder) for folder in ("one", "two")})
    loaded = load_in_new_process(tmp_path / "one", tmp_path / "two", tmp_path / "one")
    assert loaded["broken"] == {}
    assert loaded["providers"]["one"] == str(tmp_path / "one")
    assert loaded["providers"]["two"] == str(tmp_path / "two")


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        load_in_new_process(tmp_path / "nowhere")
    last = caught.value.stderr.splitlines()[-1]
    assert last.endswith(f"MLPFRAME_PLUGINS names '{tmp_path / 'nowhere'}', which is not a folder")
