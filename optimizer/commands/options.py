"""Options shared by every command that takes a problem file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def problem_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """FILE, ``--set``, ``--catalogs`` and ``--no-simulate``, with one meaning everywhere."""
    decorators: tuple[_Decorator, ...] = (
        click.argument("file", type=click.Path(path_type=Path)),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="PATH=VALUE",
            help="Change one value of the problem, e.g. workloads.chat.slo.ttft_ms=1500. Repeatable.",
        ),
        click.option(
            "--catalogs",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Directory whose CSV files override or extend the packaged catalogs.",
        ),
        click.option(
            "--no-simulate",
            is_flag=True,
            help="Do not replay plans request by request before they are shown.",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function
