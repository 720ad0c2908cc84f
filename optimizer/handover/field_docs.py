"""The docstrings under the fields of the problem schema, read from the source: keys are explained once."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel


def field_docs(section: type[BaseModel]) -> Mapping[str, str]:
    """The docstring of each field that a section declares itself, on one line."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(section) or section))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == section.__name__)
    docs: dict[str, str] = {}
    for field, after in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            docs[field.target.id] = " ".join(after.value.value.split())
    return MappingProxyType(docs)


def sections_of(section: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The section and every section below it by class name, depth first in the order of the fields."""
    found: dict[str, type[BaseModel]] = {}

    def visit(model: type[BaseModel]) -> None:
        if model.__name__ in found:
            return
        found[model.__name__] = model
        for field in model.model_fields.values():
            for below in _models_in(field.annotation):
                visit(below)

    visit(section)
    return found


def _models_in(annotation: object) -> list[type[BaseModel]]:
    from typing import get_args

    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
