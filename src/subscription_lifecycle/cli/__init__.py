"""The command line: a demo, the standard table, and the history of a stored subscription."""

from __future__ import annotations

import importlib
import tempfile
from contextlib import closing
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from subscription_lifecycle import STANDARD, DefinitionError, Lifecycle, Timeline, UnknownSubscription

STANDARD_NAME = "subscription_lifecycle:STANDARD"

app = typer.Typer(
    help="The life of a paid subscription as one explicit state machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Format(StrEnum):
    """How the table is printed."""

    markdown = "markdown"
    mermaid = "mermaid"
    dot = "dot"


def screen() -> Console:
    """As wide as the terminal, within what reads well."""
    width = Console().size.width
    return Console(width=min(max(width, 80), 120), highlight=False)


@app.command()
def demo(
    database: Annotated[Path | None, typer.Option(help="A new SQLite file; without it, one in a new folder.")] = None,
) -> None:
    """Tell the founding article as a story, on a real SQLite file."""
    from subscription_lifecycle.cli.demo import run

    path = database or Path(tempfile.mkdtemp(prefix="subscriptions-")) / "demo.sqlite"
    if path.exists():
        raise stop(f"{path} exists already; name a new file.", 2)
    run(path, screen())


@app.command()
def table(
    format: Annotated[Format, typer.Option(help="What to print.")] = Format.markdown,
) -> None:
    """Print the standard lifecycle: every row, or a diagram of its states."""
    printed = {
        Format.markdown: STANDARD.to_markdown,
        Format.mermaid: STANDARD.to_mermaid,
        Format.dot: STANDARD.to_dot,
    }
    typer.echo(printed[format]().strip())


@app.command()
def timeline(
    database: Annotated[str, typer.Argument(help="A SQLite file, or a database URL.")],
    subscription: Annotated[str, typer.Argument(help="The subscription's id.")],
    lifecycle: Annotated[str, typer.Option(help="Whose table it lives by: module:name.")] = STANDARD_NAME,
    svg: Annotated[Path | None, typer.Option(help="Draw it to this file, too.")] = None,
) -> None:
    """Print the history of one stored subscription."""
    from subscription_lifecycle.adapters.sqlalchemy import SQLStore
    from subscription_lifecycle.cli.timeline import timeline as drawn

    if "://" not in database and not Path(database).exists():
        raise stop(f"There is no file {database}.", 2)
    with closing(SQLStore(database if "://" in database else f"sqlite:///{database}")) as store:
        entries = store.history(subscription)
    if not entries:
        raise stop(str(UnknownSubscription(subscription)), 1)
    try:
        page = drawn(named(lifecycle), entries)
        if svg is not None:
            last = max(entry.recorded_at for entry in entries)
            picture = Timeline.of_history(named(lifecycle), entries, until=last + timedelta(days=1)).to_svg()
            svg.write_text(picture, encoding="utf-8")
    except DefinitionError as error:
        raise stop(f"{error}\nName the lifecycle it lives by with --lifecycle.", 1) from None
    out = screen()
    out.print(Text(subscription, style="bold"))
    out.print(page)


def named(lifecycle: str) -> Lifecycle:
    """The lifecycle of that module and name."""
    module, _, name = lifecycle.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise stop(f"{lifecycle}: {error}", 2) from None
    if not isinstance(found, Lifecycle):
        raise stop(f"{lifecycle} is no Lifecycle.", 2)
    return found


def stop(message: str, code: int) -> typer.Exit:
    """Say why, and end."""
    typer.echo(message, err=True)
    return typer.Exit(code)
