"""The ledger: every money figure is a line. The only shape in which cost travels between rooms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of the ledger: name, quantity, unit, unit price, and its integer cents per month."""

    name: str
    quantity: float
    unit: str
    unit_price: float
    monthly_cents: int


@dataclass(frozen=True, slots=True)
class RentOrBuy:
    """The nodes of a plan rented against the same nodes bought. Amounts are of all nodes of the plan."""

    bought: tuple[tuple[str, str], ...]  # offer id and tier of what is or would be bought, one per node line
    rented: tuple[tuple[str, str], ...]
    price_cents: int  # once, with tax
    running_cents: int  # per month of owning: energy, space, support and their tax
    rent_cents: int  # per month
    months: int | None  # from this month on buying has cost less, interest included; None: never within 240 months


@dataclass(frozen=True, slots=True)
class ApiSeller:
    """A provider that sells a workload's model by the token, at the cheapest of its prices."""

    workload: str
    provider: str
    sold_as: str
    monthly_cents: int  # of the workload's expected volume
    date: str
    source: str
    notes: str


@dataclass(frozen=True, slots=True)
class ApiComparison:
    """The tokens of the expected volume from those who charge per token."""

    own_cents: int | None  # a month at ``payment.api_price``; None: not stated
    sellers: tuple[ApiSeller, ...]  # workload by workload, cheapest first
    unsold: tuple[str, ...]  # workloads whose model nobody in the catalog sells
    low_cents: int | None  # a month of the cheapest seller of each workload; None where one is unsold
    high_cents: int | None  # of the dearest
    break_even_share: float | None  # of the expected volume: from here on the plan is the cheapest way
    stated_volume: float  # what the stated load makes in all its hours, as a multiple of the expected volume


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """The monthly bill over the volume that is expected in a month; None: there is no such volume."""

    per_million_output_tokens: float | None
    per_million_input_tokens: float | None
    per_request: float | None
    per_user_month: float | None
    expected_output_tokens_per_month: float
    expected_input_tokens_per_month: float
    expected_requests_per_month: float


@dataclass(frozen=True, slots=True)
class LongRun:
    """What a plan costs beyond one month, and against other ways to get the tokens."""

    totals: tuple[tuple[int, int], ...]  # (years, cents)
    mean_load: float  # share of the stated load that runs on average
    rent_or_buy: RentOrBuy | None  # None: nothing known to compare with
    api: ApiComparison | None  # None: nobody to compare with


@dataclass(frozen=True, slots=True)
class Owed:
    """What a plan binds to pay, in cents: at the signature, of that at once, and when leaving after each month."""

    now_cents: int
    upfront_cents: int  # of ``now_cents``
    by_month_cents: tuple[int, ...]  # the first: after one month; empty: nothing binds beyond the signature


NOTHING_OWED = Owed(0, 0, ())
"""Of nodes that bind to nothing."""
