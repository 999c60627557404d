"""The results measured so far, a line of JSON for each, so that an interrupted run continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .contest import Result

FILE = Path("outputs/tables/results.jsonl")
Key = tuple[str, int, str]
"""The key of a result: table, split, contender."""


def load(file: Path = FILE) -> dict[Key, Result]:
    """Read the results. If a result was measured again, the later line of the file counts."""
    if not file.exists():
        return {}
    results = [Result(**json.loads(line)) for line in file.read_text().splitlines()]
    return {key(result): result for result in results}


def append(result: Result, file: Path = FILE) -> None:
    """Append a result to the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def select(results: Mapping[Key, Result], table: str, contender: str) -> list[Result]:
    """The results of a contender on the splits of a table."""
    return [result for (t, _, c), result in sorted(results.items()) if (t, c) == (table, contender)]


def key(result: Result) -> Key:
    return result.table, result.split, result.contender
