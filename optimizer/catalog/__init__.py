"""GPUs, models, offers, engines and accuracy facts: their schema, the joins between them, where each figure is from."""

from optimizer.catalog.loader import default_root, load_catalog, with_model
from optimizer.catalog.types import Catalog

__all__ = ["Catalog", "default_root", "load_catalog", "with_model"]
