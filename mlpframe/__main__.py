"""Runs the command line for ``python -m mlpframe``."""

from .cli import main

main()
