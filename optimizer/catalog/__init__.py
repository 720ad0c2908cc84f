"""GPUs, models, offers, engines and accuracy facts: their schema, the joins between them, where each figure is from."""

from optimizer.catalog.custom import with_custom
from optimizer.catalog.loader import (
    default_root,
    is_config_path,
    load_catalog,
    model_from_config,
    with_configs,
    with_model,
)
from optimizer.catalog.types import Catalog

__all__ = [
    "Catalog",
    "default_root",
    "is_config_path",
    "load_catalog",
    "model_from_config",
    "with_configs",
    "with_custom",
    "with_model",
]
