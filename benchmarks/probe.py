"""Runs inside a revision for ``against``: answers requests, one line of JSON each, until the input ends.

The revision may be older than this file. So the file imports nothing from its neighbors, and uses only names
that every revision has: ``mlpframe.fit``, ``mlpframe.registries`` and ``mlpframe.api``.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import distributions
from typing import Any

import numpy as np

import mlpframe
import mlpframe.api


def describe() -> dict[str, Any]:
    """Describe this process: the code, the libraries, and every component with its example options."""
    components = {
        kind: {name: list(getattr(registry[name], "examples", ())) for name in registry.names()}
        for kind, registry in mlpframe.registries.items()
    }
    libraries = {
        package.name.lower(): package.version for package in distributions() if package.name != "mlpframe"
    }
    return {"code": mlpframe.__file__, "libraries": libraries, "components": components}


def fit(data: str, overrides: list[str]) -> dict[str, str]:
    """Train on the arrays ``x`` and ``y`` of a file. Answers the run's folder, or the error."""
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]
    try:
        return {"folder": str(mlpframe.fit(x, y, *translated(overrides)).folder.resolve())}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def translated(overrides: list[str]) -> list[str]:
    """The settings by the names of this revision. Before ``scaling``, no revision scaled a target."""
    if hasattr(mlpframe.api.Preparation, "scaling"):
        return overrides
    names = {"dataset.scaling=none": "dataset.standardize=false"}
    return [names.get(text, text) for text in overrides if text != "dataset.scale_target=false"]


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a run's output is no answer to a request
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(fit(**request) if request else describe()), file=answers, flush=True)


main()
