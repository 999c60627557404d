"""``python -m benchmarks <what>``: measure, print a table, write it as Markdown and PNG."""

from __future__ import annotations

import click

from . import command, engines, inference, peers, scaling

COMMANDS = [peers.peers, inference.inference, scaling.scaling, command.command, engines.engines]

click.Group("benchmarks", COMMANDS)()
