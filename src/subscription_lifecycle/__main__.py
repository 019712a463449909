"""`python -m subscription_lifecycle`, and the command `subscription-lifecycle`."""

import importlib
import io
import sys

NEEDED = ("rich", "typer")


def main() -> None:
    """Run the command line, or say which extra it needs."""
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            sys.exit(
                f"The command line needs {name}, which is not installed. Install the extra `cli`:\n\n"
                '    pip install "subscription-lifecycle[cli]"\n'
            )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no dashes and arrows shows question marks
    from subscription_lifecycle.cli import app

    app()


if __name__ == "__main__":
    main()
