"""The words of a command line: overrides `key=value` and Hydra's flags."""

from __future__ import annotations

MULTIRUN = ("-m", "--multirun")
"""How Hydra is asked for a sweep."""
OPEN_DICTS = ("transforms", "metrics", "callbacks", "tags")
"""Root keys whose entries are added by naming them."""


def as_override(given: str) -> str:
    """What Hydra is given: naming an entry of an open dictionary adds it."""
    return f"++{given}" if given.partition("=")[0].partition(".")[0] in OPEN_DICTS else given
