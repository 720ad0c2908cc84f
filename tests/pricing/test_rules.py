"""Which rule of the user forbids which option, and why a price is not ranked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optimizer.catalog.types import MarketFlag
from optimizer.pricing import RuleName, last_day, market_remark, node_options, option_rules, refused_quotes
from optimizer.progress import TODAY
from optimizer.vocabulary import Evidence, Link, ProviderClass, Tier

QUOTE = {
    "id": "q1",
    "provider": "vast",
    "gpu": "h100_sxm_80",
    "gpus_per_node": 8,
    "currency": "USD",
    "price_per_hour": 10.0,
}


@pytest.fixture
def verdict(problem, make_catalog):
    """Rules that forbid the only option of an offer (or of the problem itself)."""

    def ask(*offers, **sections):
        catalog = make_catalog(*offers)
        asked = problem(**sections)
        (option,) = node_options(asked, catalog)
        return option_rules(asked, catalog).forbidden_by(option)

    return ask


def test_nothing_forbids_a_plain_offer(verdict, make_offer):
    assert verdict(make_offer()) == ()


@pytest.mark.parametrize(
    ("hardware", "rules"),
    [
        ({"providers": ("aws",)}, ()),
        ({"providers": ("gcp",)}, (RuleName.PROVIDERS,)),
        ({"providers": {"exclude": ("aws",)}}, (RuleName.PROVIDERS,)),
        ({"providers": {"exclude": ("gcp",)}}, ()),
        ({"providers": {"classes": ("neocloud",)}}, (RuleName.PROVIDER_CLASSES,)),
        ({"regions": ("us-east-1",)}, ()),
        ({"regions": ("eu-west-1",)}, (RuleName.REGIONS,)),
        ({"only_owned": True}, (RuleName.ONLY_OWNED,)),
        ({"gpus": ("h100_sxm_80",)}, ()),
        ({"gpus": ("a100_pcie_80",)}, (RuleName.GPUS,)),
        ({"gpus": {"exclude": ("h100_sxm_80",)}}, (RuleName.GPUS,)),
        ({"gpus": {"exclude": ("a100_pcie_80",)}}, ()),
        ({"nvlink": "forbidden"}, (RuleName.NVLINK,)),
        ({"nvlink": "required"}, ()),
        ({"market": "cn"}, (RuleName.MARKET,)),
        ({"market": "us"}, ()),
        ({"require": {"countries": ("us", "CA")}}, ()),
        ({"require": {"countries": ("DE",)}}, (RuleName.COUNTRIES,)),
        ({"require": {"headquarters": ("US",)}}, (RuleName.HEADQUARTERS,)),
        ({"require": {"certificates": ("ISO 27001",)}}, (RuleName.CERTIFICATES,)),
    ],
)
def test_hardware_rules(verdict, make_offer, hardware, rules):
    assert verdict(make_offer(), hardware=hardware) == rules


@pytest.mark.parametrize("region", ["", "global"])
def test_a_blank_or_global_region_fails_a_region_filter(verdict, make_offer, region):
    assert verdict(make_offer(region=region), hardware={"regions": ("us-east-1",)}) == (RuleName.REGIONS,)


def test_marketplaces_are_off_unless_their_class_or_name_is_asked_for(verdict, make_offer):
    market = make_offer(provider="vast", provider_class=ProviderClass.MARKETPLACE)
    assert verdict(market) == (RuleName.PROVIDER_CLASSES,)
    assert verdict(market, hardware={"providers": {"classes": ("marketplace",)}}) == ()
    assert verdict(market, hardware={"providers": ("vast",)}) == ()


def test_tiers_and_commitment(verdict, make_offer, make_price):
    reserved = make_offer("a", make_price(Tier.RESERVED_3Y))
    assert verdict(reserved) == (RuleName.TIERS,)
    assert verdict(reserved, payment={"tiers": ("reserved_3y",)}) == ()
    for months, rules in ((35, (RuleName.COMMITMENT,)), (36, ()), (37, ())):
        payment = {"tiers": ("reserved_3y",), "max_commitment_months": months}
        assert verdict(reserved, payment=payment) == rules


def test_geforce_cards_and_doubtful_cards_need_to_be_named(verdict, make_offer):
    geforce = make_offer(gpu="rtx_4090_24", link=Link.PCIE)
    assert verdict(geforce) == (RuleName.LICENCE,)
    assert verdict(geforce, hardware={"datacenter_licensed_only": False}) == ()
    assert verdict(geforce, hardware={"gpus": ("rtx_4090_24",)}) == ()
    doubtful = make_offer(gpu="b100_192")
    assert verdict(doubtful) == (RuleName.CONFIDENCE,)
    assert verdict(doubtful, hardware={"gpus": ("b100_192",)}) == ()


@pytest.mark.parametrize(
    ("link", "gpus", "rules"),
    [
        (Link.UNVERIFIED, 8, ()),
        (Link.PCIE, 8, ()),
        (Link.NVLINK_PAIR, 2, (RuleName.NVLINK,)),
        (Link.XGMI, 8, (RuleName.NVLINK,)),
        (Link.NVSWITCH, 1, ()),
    ],
)
def test_forbidding_nvlink(verdict, make_offer, link, gpus, rules):
    assert verdict(make_offer(link=link, gpus_per_node=gpus), hardware={"nvlink": "forbidden"}) == rules


def test_own_hardware_answers_to_hardware_rules_only(verdict):
    owned = {"owned": ({"gpu": "h100_sxm_80", "gpus_per_node": 8},)}
    strict = {"providers": ("gcp",), "regions": ("eu",), "only_owned": True}
    assert verdict(hardware={**owned, **strict}, payment={"tiers": ("spot",), "max_commitment_months": 0}) == ()
    assert verdict(hardware={**owned, "gpus": ("a100_pcie_80",)}) == (RuleName.GPUS,)
    assert verdict(hardware={**owned, "nvlink": "forbidden"}) == (RuleName.NVLINK,)


def test_what_an_offer_does_not_state_fails_and_what_it_states_counts(verdict, make_offer):
    stated = make_offer(headquarters="US", certificates=("ISO 27001:2022", "SOC 2"))
    require = {"headquarters": ("US", "DE"), "certificates": ("iso27001:2022", "SOC2")}
    assert verdict(stated, hardware={"require": require}) == ()
    assert verdict(stated, hardware={"require": {"certificates": ("SOC 2", "TISAX")}}) == (RuleName.CERTIFICATES,)
    assert verdict(make_offer(country=""), hardware={"require": {"countries": ("US",)}}) == (RuleName.COUNTRIES,)
    assert verdict(make_offer(country="", headquarters="CN"), hardware={"market": "cn"}) == ()
    assert verdict(make_offer(country="DE", headquarters="CN"), hardware={"market": "cn"}) == (RuleName.MARKET,)


FACTS = {
    "region": ({"regions": ("eu",)}, "eu", "us-east-1", RuleName.REGIONS),
    "country": ({"require": {"countries": ("DE",)}}, "de", "US", RuleName.COUNTRIES),
    "headquarters": ({"require": {"headquarters": ("DE",)}}, "DE", "US", RuleName.HEADQUARTERS),
    "certificates": (
        {"require": {"certificates": ("C5",)}},
        ("C5", "ISO 27001"),
        ("ISO 27001",),
        RuleName.CERTIFICATES,
    ),
    "provider_class": ({"providers": {"classes": ("neocloud",)}}, "neocloud", "reseller", RuleName.PROVIDER_CLASSES),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_rule_binds_the_users_own_quotes(verdict, fact):
    hardware, good, bad, rule = FACTS[fact]
    assert verdict(offers=({**QUOTE, fact: good},), hardware=hardware) == ()
    assert verdict(offers=({**QUOTE, fact: bad},), hardware=hardware) == (rule,)
    assert verdict(offers=(QUOTE,), hardware=hardware) == (rule,)


@pytest.mark.parametrize(("country", "forbidden"), [("CN", ()), ("US", (RuleName.MARKET,)), (None, (RuleName.MARKET,))])
def test_a_quote_has_to_state_that_it_is_of_the_market(verdict, country, forbidden):
    assert verdict(offers=({**QUOTE, "country": country},), hardware={"market": "cn"}) == forbidden


def test_every_refused_quote_is_named_with_what_it_lacks(problem, make_catalog):
    hardware = {"regions": ("eu",), "require": {"countries": ("DE",), "certificates": ("C5",)}, "market": "cn"}
    asked = problem(offers=({**QUOTE, "country": "US", "valid_until": "2026-01-01"},), hardware=hardware)
    catalog = make_catalog()
    told = list(refused_quotes(node_options(asked, catalog), option_rules(asked, catalog)))
    assert len(told) == 4 and all(one.startswith("offers.q1: not used: hardware.") for one in told)
    assert told[0].endswith("hardware.regions asks for eu, and it states no region (write `region:` in the quote)")
    assert told[1].endswith("hardware.require.countries asks for DE, and its country is US")


def test_a_card_flagged_as_restricted_in_the_market_has_to_be_named(problem, make_catalog, make_offer):
    flag = MarketFlag("h100_sxm_80", "cn", "restricted", "2022-10", "export rule", "BIS")
    catalog = replace(make_catalog(make_offer(country="CN")), markets=(flag,))
    for gpus, rules in ((None, (RuleName.MARKET,)), (("h100_sxm_80",), ())):
        asked = problem(hardware={"market": "cn", "gpus": gpus})
        (option,) = node_options(asked, catalog)
        assert option_rules(asked, catalog).forbidden_by(option) == rules


def test_a_quote_answers_to_the_rules_about_offers(verdict, make_offer):
    assert verdict(offers=(QUOTE,)) == ()  # marketplaces are off by default, which no file states
    assert verdict(make_offer("q1"), offers=(QUOTE,), hardware={"regions": ("us-east-1",)}) == ()
    assert verdict(make_offer("q1"), offers=(QUOTE,), hardware={"regions": ("eu",)}) == (RuleName.REGIONS,)
    assert verdict(offers=(QUOTE,), hardware={"providers": ("aws",)}) == (RuleName.PROVIDERS,)
    bought = {**QUOTE, "price_per_hour": None, "purchase_price": 250_000.0}
    assert verdict(offers=(bought,)) == (RuleName.TIERS,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"date": "2026-07-01"}, None),
        ({"date": "2026-01-02"}, None),  # 180 days
        ({"date": "2026-01-01"}, "181 days old"),
        ({"date": "2026-01"}, "181 days old"),  # a bare month counts from its first day
        ({"date": None}, "undated"),
        ({"rankable": False, "reason": "bare card"}, "bare card"),
    ],
)
def test_what_may_not_be_ranked(*, problem, make_catalog, make_offer, make_price, change, reason):
    catalog, asked = make_catalog(make_offer("a", make_price(**change))), problem()
    (option,) = node_options(asked, catalog)
    rules = option_rules(asked, catalog)
    why = rules.why_not_rankable(option)
    assert (why is None) if reason is None else (why is not None and reason in why)
    assert rules.forbidden_by(option) == (() if reason is None else (RuleName.PRICE,))


def test_prices_age_against_as_of(problem, make_catalog, make_offer):
    catalog, asked = make_catalog(make_offer()), problem(payment={"as_of": "2027-01-01"})
    (option,) = node_options(asked, catalog)
    assert "184 days old" in str(option_rules(asked, catalog).why_not_rankable(option))


@pytest.mark.parametrize(("until", "rules"), [("2026-06-30", (RuleName.PRICE,)), ("2026-07-01", ()), (None, ())])
def test_a_quote_holds_to_its_last_day(verdict, monkeypatch, until, rules):
    payment = {"as_of": "2026-07-01"}
    assert verdict(offers=({**QUOTE, "valid_until": until},), payment=payment) == rules
    monkeypatch.setenv(TODAY, "2026-07-01")
    assert verdict(offers=({**QUOTE, "valid_until": until},)) == rules


@pytest.mark.parametrize(
    ("evidence", "asked", "rules"),
    [
        (Evidence.LIST, ("quote", "list"), ()),
        (Evidence.INDICATIVE, ("quote", "list"), (RuleName.EVIDENCE,)),
        (Evidence.INDICATIVE, ("quote", "list", "indicative"), ()),
        (Evidence.LIST, ("quote",), (RuleName.EVIDENCE,)),
        (Evidence.LIST, ("indicative",), (RuleName.EVIDENCE,)),
    ],
)
def test_what_a_price_must_rest_on(*, verdict, make_offer, make_price, evidence, asked, rules):
    offer = make_offer("a", make_price(evidence=evidence))
    assert verdict(offer, payment={"price_evidence": asked}) == rules


def test_quotes_are_evidence_of_their_own_and_owned_hardware_needs_none(verdict):
    assert verdict(offers=(QUOTE,), payment={"price_evidence": ("quote",)}) == ()
    assert verdict(offers=(QUOTE,), payment={"price_evidence": ("list",)}) == (RuleName.EVIDENCE,)
    owned = {"owned": ({"gpu": "h100_sxm_80", "gpus_per_node": 8},)}
    assert verdict(hardware=owned, payment={"price_evidence": ("quote",)}) == ()


def test_a_reference_price_is_no_question_of_evidence(verdict, make_offer, make_price):
    doubtful = make_price(rankable=False, reason="press", evidence=Evidence.REFERENCE)
    assert verdict(make_offer("a", doubtful), payment={"price_evidence": ("quote",)}) == (RuleName.PRICE,)


def test_the_last_day_on_which_a_price_may_be_ranked(problem, make_catalog, make_offer, make_price):
    catalog = make_catalog(make_offer("a", make_price(date="2026-01-02")))
    (option,) = node_options(problem(), catalog)
    assert last_day(option) == "2026-07-01"
    for day, rules in (("2026-07-01", ()), ("2026-07-02", (RuleName.PRICE,))):
        assert option_rules(problem(payment={"as_of": day}), catalog).forbidden_by(option) == rules
    (quoted,) = node_options(problem(offers=({**QUOTE, "valid_until": "2026-12-31"},)), make_catalog())
    assert last_day(quoted) == "2026-12-31"
    (open_ended,) = node_options(problem(offers=(QUOTE,)), make_catalog())
    assert last_day(open_ended) is None


def test_without_a_stated_day_quotes_are_held_against_today_and_offers_against_the_newest_price(
    problem, make_catalog, make_offer, monkeypatch
):
    catalog, asked = make_catalog(make_offer()), problem(offers=({**QUOTE, "valid_until": "2029-12-31"},))
    for day, rules in (("2029-12-31", [(), ()]), ("2030-01-01", [(), (RuleName.PRICE,)])):
        monkeypatch.setenv(TODAY, day)
        assert [option_rules(asked, catalog).forbidden_by(one) for one in node_options(asked, catalog)] == rules


def test_every_rule_names_its_place_in_the_problem_file():
    assert all(rule.path.split(".")[0] in {"hardware", "payment"} for rule in RuleName)


def test_a_market_adds_a_remark(make_catalog):
    flag = MarketFlag("h100_sxm_80", "cn", "restricted", "2022-10", "export rule", "BIS")
    catalog = replace(make_catalog(), markets=(flag,))
    assert market_remark(catalog, "h100_sxm_80", "cn") == (
        "h100_sxm_80: obtainable in market cn: restricted since 2022-10: export rule (source: BIS)"
    )
    assert market_remark(catalog, "h100_sxm_80", None) is None
    assert "nothing known" in str(market_remark(catalog, "rtx_4090_24", "us"))
