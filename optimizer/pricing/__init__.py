"""Pricing: an offer and a way to pay -> cost lines in integer cents per month. The only definition of cost."""

from optimizer.pricing.bill import cost_lines, excluded_costs, plan_lines, total_cents
from optimizer.pricing.market import market_remark
from optimizer.pricing.options import node_options
from optimizer.pricing.rules import OptionRules, RuleName, has_nvlink, option_rules
from optimizer.pricing.terms import Terms, load_hours, terms_of, unused_discounts
from optimizer.pricing.types import NodeOption, NodeType, Origin

__all__ = [
    "NodeOption",
    "NodeType",
    "OptionRules",
    "Origin",
    "RuleName",
    "Terms",
    "cost_lines",
    "excluded_costs",
    "has_nvlink",
    "load_hours",
    "market_remark",
    "node_options",
    "option_rules",
    "plan_lines",
    "terms_of",
    "total_cents",
    "unused_discounts",
]
