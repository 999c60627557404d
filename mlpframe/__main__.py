"""Runs the command line for ``python -m mlpframe``."""

from .runs.signals import end_at_signals


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its status. A signal never shows a traceback."""
    end_at_signals()  # from here on, also while the modules below are imported
    from .cli import main as run_command

    run_command()


if __name__ == "__main__":
    main()
