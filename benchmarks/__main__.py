"""``python -m benchmarks <what>``: measure, print a table, write it as Markdown and PNG."""

from __future__ import annotations

import click

from . import command, engines, inference, memory, peers, scaling

COMMANDS = [
    peers.peers,
    inference.inference,
    scaling.scaling,
    command.command,
    memory.memory,
    engines.engines,
]

click.Group("benchmarks", COMMANDS)()
