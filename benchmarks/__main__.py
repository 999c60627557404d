"""``python -m benchmarks <what>``: measure, print tables, and write the tables and a figure to files."""

from __future__ import annotations

import click

from . import against, command, engines, estimators, inference, memory, peers, scaling
from .tables.command import tables

COMMANDS = [
    peers.peers,
    inference.inference,
    scaling.scaling,
    command.command,
    memory.memory,
    engines.engines,
    estimators.estimators,
    against.against,
    tables,
]

click.Group("benchmarks", COMMANDS)()
