"""The ids a problem file may name, as the catalogs know them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class KnownIds:
    """What the references of a problem file are checked against. An empty set of ids is not checked."""

    gpus: frozenset[str] = frozenset()
    models: Mapping[str, int] = field(default_factory=dict)
    """Longest context in tokens by model id."""
    engines: frozenset[str] = frozenset()
    formats: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """What an engine runs, by its id and ``weight_quant`` or ``kv_cache``."""
    providers: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    """Currencies with an exchange rate, USD included."""
    regions: frozenset[str] = frozenset()
    newest_price_date: str | None = None
    """What ``payment.as_of`` means when left out."""
    context_of_config: Callable[[Path], int] | None = None
    """Longest context of a Hugging Face config.json; raises InputError for one that cannot be used."""
    read_calibration: Callable[[Path], None] | None = None
    """Raises InputError for a calibration file that cannot be used."""
