"""What a node costs per month that is bought or already owned.

Energy is counted at the full power of the node around the clock, an upper bound that needs no assumption about use.
Colocation is paid per kW of the node itself (critical IT power), electricity per kWh at the meter (times PUE).
"""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.ledger import CostLine
from optimizer.units import to_cents

MONTHS_PER_YEAR = 12


@dataclass(frozen=True, slots=True)
class OwnershipRates:
    """The ``ownership`` section in the problem's currency. Shares, not percent."""

    term_months: int
    residual: float  # of the price, at the end of the term
    cost_of_capital: float  # per year, nominal, compounded monthly
    electricity_per_kwh: float
    pue: float
    colo_per_kw_month: float
    support: float  # of the price, per year
    tax: float  # on energy, space and support
    month_hours: float


def capital_charge(price: float, residual_value: float, annual_rate: float, months: int) -> float:
    """Equal payments at the end of each month that, with the residual value, pay ``price`` back with interest.

    The annuity of a lease (level payment with a balloon): with i = annual_rate / 12 and n = months,
    payment = (price - residual / (1 + i)^n) x i / (1 - (1 + i)^-n); without interest, (price - residual) / n.
    Source: Brealey, Myers & Allen, Principles of Corporate Finance, "equivalent annual cash flow", by months.
    """
    if annual_rate == 0:
        return (price - residual_value) / months
    rate = annual_rate / MONTHS_PER_YEAR
    discount: float = (1 + rate) ** -months
    return (price - residual_value * discount) * rate / (1 - discount)


def purchase_lines(price: float, tax: float, power_kw: float, rates: OwnershipRates) -> tuple[CostLine, ...]:
    """Lines of one bought node: depreciation, interest, support, energy, space, tax.

    ``price`` is net of tax, in the problem's currency. The tax on the price is financed with it and has no residual.
    """
    residual = price * rates.residual
    depreciation = (price - residual) / rates.term_months
    interest = capital_charge(price, residual, rates.cost_of_capital, rates.term_months) - depreciation
    purchase_tax = capital_charge(price * tax, 0.0, rates.cost_of_capital, rates.term_months)
    support = price * rates.support / MONTHS_PER_YEAR
    lines = [
        _line("depreciation", 1, "node-month", depreciation),
        _line("cost of capital", 1, "node-month", interest),
        _line("tax on the purchase", 1, "node-month", purchase_tax),
        _line("support", 1, "node-month", support),
    ]
    return tuple(line for line in lines if line.monthly_cents) + running_lines(power_kw, rates, extra_taxed=support)


def running_lines(power_kw: float, rates: OwnershipRates, extra_taxed: float = 0.0) -> tuple[CostLine, ...]:
    """Lines of energy and space of one node, and the tax on them (and on ``extra_taxed``)."""
    kwh = power_kw * rates.pue * rates.month_hours
    energy = kwh * rates.electricity_per_kwh
    space = power_kw * rates.colo_per_kw_month
    lines = (
        _line("energy", kwh, "kWh", rates.electricity_per_kwh),
        _line("colocation", power_kw, "kW-month", rates.colo_per_kw_month),
        _line("tax on running costs", rates.tax, "of running costs", energy + space + extra_taxed),
    )
    return tuple(line for line in lines if line.monthly_cents)


def _line(name: str, quantity: float, unit: str, unit_price: float) -> CostLine:
    return CostLine(name, quantity, unit, unit_price, to_cents(quantity * unit_price))
