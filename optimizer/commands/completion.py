"""What the shell completes beyond commands, options and files: models and cards of the catalog, keys of ``--set``."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of models; by their name alone where the publisher was not typed."""
    from optimizer.catalog import load_catalog

    wanted = incomplete.lower()
    ids = sorted(load_catalog().models)
    names = ids if "/" in incomplete else [*ids, *(model.rpartition("/")[2] for model in ids)]
    return [CompletionItem(name) for name in dict.fromkeys(names) if name.lower().startswith(wanted)]


def complete_cards(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of GPUs."""
    from optimizer.catalog import load_catalog

    return [CompletionItem(gpu) for gpu in sorted(load_catalog(models=()).gpus) if gpu.startswith(incomplete.lower())]


def complete_edits(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Paths of the numbers of a problem file, up to the ``=``: those of the file on the line where it can be read."""
    return [CompletionItem(f"{path}=") for path in _paths(ctx.params.get("file")) if path.startswith(incomplete)]


def _paths(file: Path | None) -> list[str]:
    from optimizer.errors import InputError
    from optimizer.problem import load_problem
    from optimizer.problem.figures import all_figures, figures_of

    if file is not None:
        try:
            return [figure.path for figure, _ in figures_of(load_problem(file))]
        except InputError:
            pass  # of a file that is not sound yet the keys alone are known
    return [figure.path for figure in all_figures() if "*" not in figure.path]
