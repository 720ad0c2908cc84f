"""What the catalog knows of providers and their instances, to tell whose list it is and which card an instance has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from optimizer.catalog.importers.names import Aliases, normalised
from optimizer.catalog.importers.quote_money import UsualPrices
from optimizer.catalog.types import Offer, Provider

_GENERIC = frozenset(
    ["vms", "catalog", "catalogs", "csv", "instances", "skypilot", "gpuhunt", "prices", "quotes", "offers"]
)
_EC2 = re.compile(r"[a-z]+\d+[a-z-]*\.(?:nano|micro|small|medium|\d*x?large|metal(?:-\d+xl)?)")


@dataclass(frozen=True)
class Sources:
    """Names, prices and instances of the catalog."""

    names: Aliases
    providers: Mapping[str, Provider]
    offers: tuple[Offer, ...]
    market: UsualPrices

    @cached_property
    def _by_name(self) -> dict[str, str]:
        known = {normalised(word): item.id for item in self.providers.values() for word in (item.id, *item.aliases)}
        named = {normalised(item.name): item.id for item in self.providers.values() if item.name}
        return {**named, **known}

    @cached_property
    def _instances(self) -> dict[str, set[tuple[str, str, int]]]:
        found: dict[str, set[tuple[str, str, int]]] = {}
        for offer in self.offers:
            where = (offer.provider, offer.gpu, offer.gpus_per_node)
            found.setdefault(offer.instance_type.strip().lower(), set()).add(where)
        return found

    def known(self, name: str) -> str:
        """The id of the provider that bears the whole name; blank for nobody."""
        alias = self.names.one("provider", name) if name else None
        return self._by_name.get(normalised(name), "") if alias is None else alias

    def of_instance(self, instance: str) -> str | None:
        """The only provider that has instances of that name."""
        return _only(provider for provider, _, _ in self._instances.get(instance.strip().lower(), ()))

    def card_of_instance(self, instance: str, provider: str, gpus: int | None) -> str | None:
        """The card of an instance of the catalog with that many of them."""
        rows = self._instances.get(instance.strip().lower(), ())
        return _only(gpu for who, gpu, count in rows if who == provider and count == gpus)

    def of_list(self, file: str, instance: str, layout: str) -> tuple[str | None, str]:
        """Whose list a file without such a column is, and what says so (or why nothing does)."""
        told = {
            f"{instance} is an instance of {{}}": self.of_instance(instance) if instance else None,
            "the name of the file is that of {}": self._in_path(Path(file)) if layout else None,
            f"{instance} is named as instances of {{}} are": "aws"
            if layout == "ec2instances" and _EC2.fullmatch(instance.lower())
            else None,
        }
        found = {who: why.format(who) for why, who in told.items() if who is not None}
        if len(found) > 1:
            return None, f" ({' but '.join(found.values())})"
        return next(iter(found.items()), (None, ""))

    def _in_path(self, path: Path) -> str | None:
        for word in (path.absolute().parent.name, path.stem, *path.stem.replace("_", "-").split("-")):
            key = normalised(word)
            if key and key not in _GENERIC:
                new = self.names.by_name.get(("new provider", key), ())
                found = self.known(word) or (new[0].name if new else "")
                if found:
                    return found
        return None


def _only(found: Iterable[str]) -> str | None:
    names = set(found)
    return next(iter(names)) if len(names) == 1 else None
