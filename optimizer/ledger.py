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
class ApiComparison:
    """The expected tokens from an API that charges per token."""

    monthly_cents: int  # of the API for the expected volume
    break_even_share: float | None  # of that volume, from which on the plan is the cheaper one; above 1: not there


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
    api: ApiComparison | None  # None: ``payment.api_price`` is not stated
