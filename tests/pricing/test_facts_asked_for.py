"""What a quote has to state, beside what is known of the offer that it replaces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from optimizer.pricing import RuleName
from optimizer.pricing.refused_quotes import _why, facts_asked_for


def rules(**stated: Any) -> Any:
    nothing = {"regions": (), "countries": (), "market": None, "headquarters": (), "certificates": (),
               "classes_stated": False, "classes": ("hyperscaler",)}  # fmt: skip
    return SimpleNamespace(**{**nothing, **stated})


def offer(**known: Any) -> Any:
    nothing = dict.fromkeys(("region", "country", "headquarters", "certificates", "provider_class"))
    return SimpleNamespace(**{**nothing, **known})


@pytest.mark.parametrize(
    ("stated", "known", "asked"),
    [
        ({}, None, {}),
        ({"market": "cn"}, None, {"country": "cn"}),
        ({"market": "cn"}, offer(), {"country": "cn"}),
        ({"market": "cn"}, offer(country="CN"), {}),
        ({"market": "cn"}, offer(headquarters="CN"), {}),
        ({"market": "cn", "countries": ("DE",)}, None, {"country": "DE"}),
        ({"regions": ("eu-1",)}, offer(), {"region": "eu-1"}),
        ({"regions": ("eu-1",)}, offer(region="us-1"), {}),
        ({"headquarters": ("DE",)}, offer(), {"headquarters": "DE"}),
        ({"certificates": ("C5", "ISO 27001")}, None, {"certificates": ["C5", "ISO 27001"]}),
        ({"certificates": ("C5",)}, offer(certificates=("C5",)), {}),
        ({"classes_stated": True}, offer(), {"provider_class": "hyperscaler"}),
        ({"classes_stated": True}, offer(provider_class="neocloud"), {}),
    ],
)
def test_only_what_is_not_known(stated: dict[str, Any], known: Any, asked: dict[str, object]) -> None:
    assert facts_asked_for(rules(**stated), known) == asked


@pytest.mark.parametrize(
    ("country", "headquarters", "said"),
    [
        ("US", "DE", "its country is US"),
        ("US", "", "its country is US"),
        ("", "US", "its headquarters is US"),
        ("", "", "it states no country (write `country:` in the quote)"),
    ],
)
def test_a_market_is_asked_of_the_country_before_the_headquarters(country: str, headquarters: str, said: str) -> None:
    option: Any = SimpleNamespace(
        offer=offer(country=country, headquarters=headquarters, region="", certificates=(), provider_class=None)
    )
    found = _why(RuleName.MARKET, option, rules(market="cn"))
    assert found.endswith(f"asks for cn, and {said}")
