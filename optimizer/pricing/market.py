"""What ``hardware.market`` adds to a card: a flag with its date and source, never a permission and never a ban."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.catalog.types import Catalog


def market_remark(catalog: Catalog, gpu: str, market: str | None) -> str | None:
    """Whether a card is shown as obtainable in a market, for a plan's notes; None where no market is asked for."""
    if market is None:
        return None
    flag = next((flag for flag in catalog.markets if (flag.gpu, flag.market) == (gpu, market)), None)
    if flag is None:
        return f"{gpu}: nothing known about obtaining it in market {market}"
    since = f" since {flag.since}" if flag.since else ""
    basis = f": {flag.basis}" if flag.basis else ""
    return f"{gpu}: obtainable in market {market}: {flag.obtainable}{since}{basis} (source: {flag.source})"
