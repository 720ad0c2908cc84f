"""Models that a problem names by the path of a Hugging Face ``config.json`` instead of a catalog id."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from optimizer.catalog.types import Catalog, Model
from optimizer.documents.paths import beside, is_file


def is_config_path(reference: str) -> bool:
    """Whether a model reference names a file instead of a catalog id."""
    return reference.endswith(".json") or reference.startswith(("./", "../", "/", "~"))


def model_from_config(path: Path) -> Model:
    """The model a Hugging Face config.json describes; ``path`` is the file or the directory that holds it.

    Raises CatalogError where it is no config.json, of an unknown family, or inconsistent.
    """
    from optimizer.catalog.from_config import read_model

    return read_model(path)


def with_model(catalog: Catalog, model: Model) -> Catalog:
    """The catalog with one more model."""
    return replace(catalog, models=dict(sorted({**catalog.models, model.id: model}.items())))


def with_configs(catalog: Catalog, references: Iterable[str], directory: Path) -> Catalog:
    """The catalog plus the models that are given as paths (relative to ``directory``), under the path as written."""
    for reference in references:
        named = is_config_path(reference) or is_file(beside(directory, reference) / "config.json")
        if reference not in catalog.models and named:
            model = model_from_config(beside(directory, reference))
            catalog = with_model(catalog, replace(model, id=reference))
    return catalog
