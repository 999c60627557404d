"""``python -m benchmarks <what>``: measure, print tables, and write the tables and a figure to files."""

from __future__ import annotations

import click

from . import against, command, engines, inference, memory, peers, scaling

COMMANDS = [
    peers.peers,
    inference.inference,
    scaling.scaling,
    command.command,
    memory.memory,
    engines.engines,
    against.against,
]

click.Group("benchmarks", COMMANDS)()
