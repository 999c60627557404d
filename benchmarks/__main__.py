"""``python -m benchmarks <what>``: measure, print a table, write it as Markdown and PNG."""

from __future__ import annotations

import click

from . import command, engines, peers

click.Group("benchmarks", [peers.peers, command.command, engines.engines])()
