"""``python -m mlpframe``."""

from .cli import main

main()
