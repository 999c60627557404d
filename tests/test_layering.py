"""Modules import only lower modules, few modules import other packages, only base classes are extended."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mlpframe import api, registries
from mlpframe.api import UsageError
from tests.running import ROOT, run_python

ORDER = (
    "registry",
    "numpy_files",
    "api",
    "machine",
    "outputs",
    "files",
    "discovery",
    "__init__",
    "config",
    "training",
    "predictor",
    "testing",
    "templates",
    "analysis",
    "figures",
    "tracking",
    "runs",
    "estimators",
    "commands",
    "cli",
    "__main__",
)
"""The modules and folders of mlpframe, from the bottom to the top."""
INSIDE = {
    "training": (
        "rng",
        "checkpoint",
        "history",
        "network",
        "onnx",
        "optim",
        "data",
        "build",
        "engines",
        "divergence",
        "trainer",
        "lockstep",
        "predictor",
        "onnx_model",
        "portable_model",
        "portable",
        "__init__",
    ),
    "runs": (
        "__init__",
        "overrides",
        "keys",
        "signals",
        "server",
        "terminal",
        "folder",
        "finding",
        "predicting",
        "removing",
        "request",
        "compose",
        "build",
        "evaluating",
        "train",
        "summary",
        "sweep",
        "launch",
        "fitted",
        "fit",
    ),
    "commands": (
        "check",
        "compare",
        "evaluate",
        "export",
        "help",
        "listing",
        "lr_range",
        "new",
        "predict",
        "report",
        "runs",
        "serve",
        "trace",
        "ui",
        "__init__",
    ),
}
"""The files of these folders, from the bottom to the top; a command imports no other command."""
KNOW = {
    "mlflow": {"tracking"},
    "sqlalchemy": {"tracking"},
    "hydra": {"config", "runs"},
    "omegaconf": {"config", "runs"},
    "click": {"commands"},
    "rich": {"runs", "commands"},
    "jinja2": {"commands"},
    "matplotlib": {"figures", "commands"},
    "statsmodels": {"analysis"},
    "onnx": {"training", "testing"},
    "pytest": {"testing", "templates"},
    "sklearn": {"estimators"},
}
"""The folders that may import a library. The trainer and everything below import none of these."""

FILES = sorted((ROOT / "mlpframe").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
ENGINES = [file for file in FILES if file.parent.name == "engines" and file.name != "__init__.py"]
TEMPLATES = [file for file in FILES if file.parent.name == "templates"]


def imports(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """The dotted names that a module imports anywhere in its source; ``from a import b`` gives ``a.b``."""
    names = set()
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *(node.module.split(".") if node.module else [])]
            names |= {".".join([*base, alias.name]) for alias in node.names}
    return names


def imports_of(file: Path) -> set[str]:
    parts = file.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return imports(file.read_text(), ".".join(parts[:-1] if is_package else parts), is_package=is_package)


def unit(name: str, folder: str = "") -> str:
    """The entry of ``ORDER``, or of a folder's order in ``INSIDE``, that a dotted name belongs to."""
    package = "/".join(filter(None, ("mlpframe", folder)))
    first = name.removeprefix(package.replace("/", ".")).strip(".").partition(".")[0]
    place = ROOT / package / first
    is_module = place.is_dir() or place.with_suffix(".py").is_file()
    return first if first and is_module else "__init__"  # a name that the package itself defines


def libraries(file: Path) -> set[str]:
    """The third-party packages that a module imports."""
    tops = {name.partition(".")[0] for name in imports_of(file)}
    return tops - sys.stdlib_module_names - {"mlpframe"}


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def own_unit(file: Path, folder: str = "") -> str:
    return file.relative_to(ROOT / "mlpframe" / folder).with_suffix("").parts[0]


def test_imports_are_found_everywhere_in_a_module() -> None:
    source = """
import numpy.linalg as la
from . import checkpoint
from .. import __version__
from ..api import Array
def late():
    from ..runs.train import train
    if True: import mlflow
"""
    assert imports(source, "mlpframe.training.network") == {
        "numpy.linalg",
        "mlpframe.training.checkpoint",
        "mlpframe.__version__",
        "mlpframe.api.Array",
        "mlpframe.runs.train.train",
        "mlflow",
    }
    assert imports("from ..api import Array", "mlpframe.runs", is_package=True) == {"mlpframe.api.Array"}
    assert imports("from .x import y", "mlpframe.runs", is_package=True) == {"mlpframe.runs.x.y"}
    names = ("mlpframe.runs.train.train", "mlpframe.__version__", "mlpframe")
    assert [unit(name) for name in names] == ["runs", "__init__", "__init__"]
    assert [unit(name, "runs") for name in ("mlpframe.runs.train.train", "mlpframe.runs")] == [
        "train",
        "__init__",
    ]


def test_every_module_is_in_the_order() -> None:
    assert {own_unit(file) for file in FILES} == set(ORDER)
    for folder, order in INSIDE.items():
        inside = [file for file in FILES if own_unit(file) == folder]
        assert {own_unit(file, folder) for file in inside} == set(order)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_module_imports_only_from_modules_below_it(file: Path) -> None:
    own = own_unit(file)
    names = {name for name in imports_of(file) if name.partition(".")[0] == "mlpframe"}
    upwards = {name for name in names if ORDER.index(unit(name)) >= ORDER.index(own) and unit(name) != own}
    if own in INSIDE:
        order, place = INSIDE[own], own_unit(file, own)
        near = {name for name in names if unit(name) == own and unit(name, own) != place}
        upwards |= {name for name in near if order.index(unit(name, own)) >= order.index(place)}
    assert upwards == set()


def test_a_command_imports_no_other_command() -> None:
    order = INSIDE["commands"]
    commands = [
        file for file in FILES if own_unit(file) == "commands" and own_unit(file, "commands") in order[:-1]
    ]
    for file in commands:
        near = {unit(name, "commands") for name in imports_of(file) if unit(name) == "commands"}
        assert near <= {own_unit(file, "commands")}, file


def test_the_page_on_the_architecture_has_the_same_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page[page.index("| module |") :].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    shown = [name.strip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert shown == [name for name in reversed(ORDER) if name != "__init__"]


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_only_the_allowed_folders_import_a_library(file: Path) -> None:
    own = own_unit(file)
    assert {library for library in libraries(file) if own not in KNOW.get(library, {own})} == set()
    if own in ("registry", "api"):
        assert libraries(file) <= {"numpy"}


@pytest.mark.parametrize("file", [*PLUGINS, *ENGINES], ids=name_of)
def test_a_plugin_imports_only_the_api_of_mlpframe(file: Path) -> None:
    inside = {name for name in imports_of(file) if name.partition(".")[0] == "mlpframe"}
    allowed = ("mlpframe.api", "mlpframe.training.engines.")  # an engine may build on another engine
    assert {name for name in inside if not name.startswith(allowed)} == set()


def test_the_api_has_exactly_the_names_that_plugins_engines_and_templates_import() -> None:
    used = {name for file in (*PLUGINS, *ENGINES, *TEMPLATES) for name in imports_of(file)}
    assert {f"mlpframe.api.{name}" for name in api.__all__} == {
        name for name in used if name.startswith("mlpframe.api.")
    }


def test_names_that_no_plugin_needs_are_imported_from_their_own_files() -> None:
    public, files = set(api.__all__), {file.stem for file in (ROOT / "mlpframe" / "api").glob("*.py")}
    for file in FILES:
        names = {name.split(".")[2] for name in imports_of(file) if name.startswith("mlpframe.api.")}
        assert names <= public | files, file


def classes() -> set[type]:
    """Every class that a module of mlpframe or a built-in plugin defines."""
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in FILES if file not in TEMPLATES]
    for names in parts:
        if names[-1] not in ("__main__", "pyfunc_model"):  # MLflow warns when pyfunc_model is imported
            with suppress(ModuleNotFoundError, UsageError):  # an optional package may not be installed
                importlib.import_module(".".join(names).removesuffix(".__init__"))
    registries["layer"].names()  # loads the plugins
    modules = [(name, module) for name, module in sys.modules.items() if name.startswith("mlpframe.")]
    return {
        member
        for name, module in modules
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == name
    }


def may_be_extended(base: type) -> bool:
    """Whether ``docs/architecture.md`` allows a class of mlpframe or of a plugin to extend ``base``."""
    package, _, module = base.__module__.rpartition(".")
    if base.__module__.partition(".")[0] != "mlpframe" or issubclass(base, Exception):
        return True
    return package == "mlpframe.api" or module.startswith("_") or inspect.isabstract(base)


def test_only_base_classes_are_extended() -> None:
    extended = {(cls, base) for cls in classes() for base in cls.__bases__}
    assert len(extended) > 200
    assert {(cls, base) for cls, base in extended if not may_be_extended(base)} == set()


def test_the_architecture_page_names_the_methods_that_a_component_may_override() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    table = page[page.index("| base class |") :].partition("\n\n")[0]
    shown = {}
    for line in table.splitlines()[2:]:
        base, *methods = re.findall(r"`(\w+)`", line)
        shown[base] = set(methods)
    bases = [member for name in api.__all__ if inspect.isclass(member := getattr(api, name))]
    assert shown == {
        base.__name__: {
            name
            for name, member in vars(base).items()
            if inspect.isfunction(member) and not name.startswith("_")
        }
        for base in bases
        if hasattr(base, "kind")
    }


LOADED = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""


def third_party(statement: str) -> set[str]:
    """The third-party packages that a new process has loaded after a statement."""
    done = run_python(ROOT, "-c", LOADED.format(statement=statement))
    done.check_returncode()
    names = {name for name in json.loads(done.stdout) if not name.startswith("mlpframe")}
    return names - sys.stdlib_module_names


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import mlpframe.registry", set()),
        ("import mlpframe.api", {"numpy"}),
    ],
)
def test_importing_the_api_loads_at_most_numpy(statement: str, allowed: set[str]) -> None:
    assert third_party(statement) == allowed


def test_the_estimators_import_only_training_and_what_is_below() -> None:
    names = imports_of(ROOT / "mlpframe" / "estimators.py")
    units = {unit(name) for name in names if name.partition(".")[0] == "mlpframe"}
    assert units <= set(ORDER[: ORDER.index("training") + 1])


def test_importing_the_estimators_loads_neither_hydra_nor_mlflow() -> None:
    brought = third_party("import mlpframe; mlpframe.MLPClassifier")
    assert "sklearn" in brought
    assert brought & {"hydra", "omegaconf", "mlflow", "matplotlib", "click"} == set()


def test_importing_training_loads_neither_hydra_nor_mlflow() -> None:
    statement = "import mlpframe.training; mlpframe.registries"
    brought = third_party(statement)
    assert "numpy" in brought
    assert brought & {"hydra", "omegaconf", "mlflow", "pandas", "matplotlib", "sklearn"} == set()
