"""Exchange rates: the catalog's dated ones, replaced by what the user states in ``payment.fx``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from optimizer.errors import CatalogError, Finding

USD = "USD"
"""The currency that all rates are stated against."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rates as units of a currency per US dollar, toward one target currency."""

    target: str
    per_usd: Mapping[str, float]
    dates: Mapping[str, str]

    def rate(self, currency: str) -> float:
        """Units of the target currency for one unit of ``currency``: cross rate over the dollar."""
        if currency == self.target:
            return 1.0
        return self._per_usd(self.target) / self._per_usd(currency)

    def date(self, currency: str) -> str | None:
        """Date of the older of the two rates that a conversion rests on; None when nothing is converted."""
        if currency == self.target:
            return None
        dates = [self.dates[code] for code in (currency, self.target) if code in self.dates]
        return min(dates, default=None)

    def _per_usd(self, currency: str) -> float:
        try:
            return self.per_usd[currency]
        except KeyError:
            known = ", ".join(sorted(self.per_usd))
            hint = f"state it: payment: {{fx: {{{currency}: <units per USD>, date: <day>}}}}"
            raise CatalogError([Finding(f"no exchange rate for {currency}; known: {known}", hint=hint)]) from None
