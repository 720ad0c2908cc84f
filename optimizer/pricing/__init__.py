"""Pricing: an offer and a way to pay -> cost lines in integer cents per month. The only definition of cost."""

from optimizer.pricing.api import api_comparison
from optimizer.pricing.bill import (
    Running,
    cost_lines,
    excluded_costs,
    plan_lines,
    recoverable_tax_cents,
    total_cents,
)
from optimizer.pricing.long_run import counterparts, long_run, purchase_cents, rent_or_buy, total_cents_over
from optimizer.pricing.options import node_options
from optimizer.pricing.owed import owed
from optimizer.pricing.refused_quotes import facts_asked_for, refused_quotes
from optimizer.pricing.rules import BUYERS, OptionRules, RuleName, has_nvlink, last_day, market_remark, option_rules
from optimizer.pricing.terms import Terms, load_hours, mean_load, spot_uplift, terms_of, unused_discounts
from optimizer.pricing.types import NodeOption, NodeType, Origin, PeriodPrice, option_key, starts_of
from optimizer.pricing.unit_costs import Volume, expected_volume, unit_costs

__all__ = [
    "BUYERS",
    "NodeOption",
    "NodeType",
    "OptionRules",
    "Origin",
    "PeriodPrice",
    "RuleName",
    "Running",
    "Terms",
    "Volume",
    "api_comparison",
    "cost_lines",
    "counterparts",
    "excluded_costs",
    "expected_volume",
    "facts_asked_for",
    "has_nvlink",
    "last_day",
    "load_hours",
    "long_run",
    "market_remark",
    "mean_load",
    "node_options",
    "option_key",
    "option_rules",
    "owed",
    "plan_lines",
    "purchase_cents",
    "recoverable_tax_cents",
    "refused_quotes",
    "rent_or_buy",
    "spot_uplift",
    "starts_of",
    "terms_of",
    "total_cents",
    "total_cents_over",
    "unit_costs",
    "unused_discounts",
]
