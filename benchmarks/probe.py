"""A script that ``against`` runs with the code of another revision of mlpframe.

It reads requests from standard input, one line of JSON each, and answers each with a line of JSON. The
revision may be older than this file. So the script imports nothing from its folder, and uses only names that
every revision has: ``mlpframe.fit``, ``mlpframe.registries`` and ``mlpframe.api``.
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
    """Train on the arrays ``x`` and ``y`` of a file. Returns the run's folder, or the error."""
    with np.load(data) as arrays:
        x, y = arrays["x"], arrays["y"]
    try:
        return {"folder": str(mlpframe.fit(x, y, *translated(overrides)).folder.resolve())}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0]}


def translated(overrides: list[str]) -> list[str]:
    """Translate settings to the names that this revision uses.

    Older revisions have ``standardize`` instead of ``scaling``, and cannot scale a target.
    """
    if hasattr(mlpframe.api.Preparation, "scaling"):
        return overrides
    names = {"dataset.scaling=none": "dataset.standardize=false"}
    return [names.get(text, text) for text in overrides if text != "dataset.scale_target=false"]


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # keeps a run's prints out of the answers
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(fit(**request) if request else describe()), file=answers, flush=True)


main()
