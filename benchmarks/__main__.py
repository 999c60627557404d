"""``python -m benchmarks <what>``: measure, print tables, and write the tables and a figure to files."""

from __future__ import annotations

import click

from . import against, command, configurations, engines, estimators, inference, kills, memory, peers, scaling
from .damage.command import damage
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
    damage,
    configurations.configurations,
    kills.kills,
    tables,
]

click.Group("benchmarks", COMMANDS)()
