"""The problem file: every key, its unit, its bounds and its default. The docstrings are the reference documentation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from optimizer.problem.fields import (
    CountOrZero,
    Currency,
    Day,
    Listed,
    Looser,
    NonNegative,
    Number,
    Percent,
    Positive,
    Reads,
    Section,
    Share,
    Text,
    YesNo,
    is_currency,
    one_of,
)
from optimizer.problem.schema_hardware import (
    EngineSection,
    EvidenceWord,
    Exclude,
    Hardware,
    Limits,
    OwnedHardware,
    ProviderFilter,
    Quota,
    Quote,
    TierWord,
)
from optimizer.problem.schema_served import Workload
from optimizer.problem.schema_sessions import Sessions
from optimizer.problem.schema_tokens import GapPercentiles, LengthClass, LengthDistribution, Tokens
from optimizer.problem.schema_workload import (
    Batch,
    PercentileLimits,
    ProfilePeriod,
    Quality,
    SloSection,
    Traffic,
    Users,
)
from optimizer.vocabulary import GRADES, DistinctBy, Evidence, Objective, Survive, Tier

__all__ = [
    "ApiPrice",
    "Batch",
    "Budget",
    "Discount",
    "EngineSection",
    "Exclude",
    "Fx",
    "GapPercentiles",
    "Hardware",
    "LengthClass",
    "LengthDistribution",
    "Limits",
    "Margins",
    "OwnedHardware",
    "Ownership",
    "Payment",
    "PercentileLimits",
    "Problem",
    "ProblemFile",
    "ProfilePeriod",
    "ProviderFilter",
    "Quality",
    "Quota",
    "Quote",
    "Ranking",
    "Sessions",
    "SloSection",
    "Tokens",
    "Traffic",
    "Users",
    "Workload",
]


GradeWord = Annotated[str, BeforeValidator(one_of(GRADES))]

DistinctWord = Annotated[DistinctBy, Field(strict=False), BeforeValidator(one_of(DistinctBy))]


class Discount(Section):
    """A negotiated percentage off list prices. What is left out matches everything."""

    provider: Text | None = None
    """Provider it holds for."""

    tier: TierWord | None = None
    """Payment tier it holds for."""

    gpu: Text | None = None
    """Card it holds for."""

    percent: Annotated[
        float, Field(gt=0, lt=100), Number("discount", "%", "0.1", Looser.UNKNOWN, axis=True, monotone=False)
    ]
    """Percent off the list price."""

    until: Day | None = None
    """Last day it holds."""


class Fx(Section):
    """Exchange rates of the user's own, written ``{CNY: 7.1, date: 2026-08-03}``."""

    rates: dict[
        Currency,
        Annotated[Positive, Number("{name} for a US dollar", "", "0.0001", Looser.UNKNOWN, axis=True, monotone=False)],
    ]
    """Units of each currency per one US dollar."""

    date: Day | None = None
    """Day of the rates."""

    @model_validator(mode="before")
    @classmethod
    def currencies_are_keys(cls, data: Any) -> Any:
        """Every key but ``date`` is a currency."""
        if not isinstance(data, dict):
            return data
        rates = {key: value for key, value in data.items() if key != "date"}
        return {"rates": rates, **({"date": data["date"]} if data.get("date") is not None else {})}


class ApiPrice(Section):
    """What an API charges for the same model, to hold a plan against."""

    input_per_million: Annotated[
        NonNegative,
        Number(
            "price of an API for input",
            "a million tokens",
            "0.01",
            Looser.UNKNOWN,
            axis="it is compared with the plans and changes none",
            reads=Reads.MONEY,
            monotone=False,
        ),
    ]
    """Price of a million input tokens, in the problem's currency."""

    output_per_million: Annotated[
        NonNegative,
        Number(
            "price of an API for output",
            "a million tokens",
            "0.01",
            Looser.UNKNOWN,
            axis="it is compared with the plans and changes none",
            reads=Reads.MONEY,
            monotone=False,
        ),
    ]
    """Price of a million output tokens."""

    cached_input_per_million: Annotated[
        NonNegative | None,
        Number(
            "price of an API for input found in its cache",
            "a million tokens",
            "0.01",
            Looser.UNKNOWN,
            axis="it is compared with the plans and changes none",
            reads=Reads.MONEY,
            monotone=False,
        ),
    ] = None
    """Price of a million input tokens found in the prefix cache (``tokens.shared_prefix``); null: as other input."""


class Payment(Section):
    """How capacity is paid for, and in which money."""

    tiers: Listed[TierWord] = (Tier.ON_DEMAND,)
    """Ways to pay that are considered."""

    max_commitment_months: Annotated[
        CountOrZero | None,
        Number("longest commitment", "months", "1", Looser.UP, axis=True, ends=(0, 36), promise=True),
    ] = None
    """Longest commitment in months."""

    hours_per_month: Annotated[
        float,
        Field(gt=0, le=744),
        Number("hours that capacity runs", "hours a month", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 730.0
    """Hours a month that capacity runs."""

    discounts: tuple[Discount, ...] = ()
    """Negotiated discounts; of several that match a price the largest counts."""

    price_evidence: Listed[EvidenceWord] = (Evidence.QUOTE, Evidence.LIST, Evidence.INDICATIVE)
    """What a price must rest on to win: your own quote, a provider's list, or a dated tracker (indicative)."""

    currency: Currency = "USD"
    """Currency of all amounts in the report, the budget and the ownership figures."""

    fx: Fx | None = None
    """Exchange rates instead of those in catalogs/fx.csv."""

    tax_percent: Annotated[Percent, Number("tax", "%", "0.1", Looser.UNKNOWN, axis=True, monotone=False)] = 0.0
    """Tax on top of prices, in percent."""

    tax_recoverable: YesNo = False
    """Whether the tax comes back: it is shown then, and in no total or ranking."""

    extras_monthly: Annotated[
        NonNegative,
        Number("fixed extras", "a month", "1", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False),
    ] = 0.0
    """Fixed cost per month that the plan shall include (storage, egress, ...)."""

    mean_load: Annotated[
        float,
        Field(gt=0, le=1),
        Number(
            "load that runs on average",
            "",
            "0.01",
            Looser.UNKNOWN,
            axis="it changes the cost per token and no plan",
            monotone=False,
            reads=Reads.SHARE,
        ),
    ] = 1.0
    """Share of the stated load that runs on average: what a month's tokens, requests and their cost are counted from.
    Ignored where a day profile states periods, and for batch work."""

    api_price: ApiPrice | None = None
    """Prices of an API, to say from which share of the expected volume on a plan is cheaper."""

    startup_minutes: Annotated[
        float,
        Field(ge=0, le=1440),
        Number("time that a node takes to start", "minutes", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 10.0
    """Minutes that an on-demand or spot node is billed before it serves, each time a day profile starts it."""

    spot_uplift_percent: Annotated[
        Percent | None,
        Number("what interruptions add to spot nodes", "% of rent", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = None
    """What interruptions add to the rent of spot nodes, in percent. null: 10 where there is a day profile, else not
    counted and listed among what the bill leaves out."""

    as_of: Day | None = None
    """The day prices are aged against: past 180 days they are not ranked, past 75 they get a warning. null: the newest
    price date in the catalog, and for own quotes today."""


class Ownership(Section):
    """What bought and owned hardware costs per month. Amounts are in the problem's currency, the defaults in USD."""

    term_months: Annotated[
        int,
        Field(ge=1, le=240),
        Number("write-off of a purchase", "months", "1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 48
    """Months over which a purchase is written off."""

    residual: Annotated[
        float,
        Field(ge=0, lt=1),
        Number(
            "what is left of a purchase price", "", "0.01", Looser.UNKNOWN, axis=True, monotone=False, reads=Reads.SHARE
        ),
    ] = 0.1
    """Share of the purchase price that is left at the end."""

    cost_of_capital: Annotated[
        Share, Number("interest a year", "", "0.01", Looser.UNKNOWN, axis=True, monotone=False, reads=Reads.SHARE)
    ] = 0.08
    """Interest per year, as a share."""

    electricity_per_kwh: Annotated[
        NonNegative,
        Number("price of electricity", "a kWh", "0.001", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False),
    ] = 0.10
    """Price of a kWh."""

    pue: Annotated[
        float,
        Field(ge=1, le=5),
        Number("power usage effectiveness", "", "0.01", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 1.3
    """Power usage effectiveness: facility power / IT power."""

    colo_per_kw_month: Annotated[
        NonNegative,
        Number(
            "space and cooling", "a kW and month", "0.01", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False
        ),
    ] = 165.0
    """Rent of space and cooling per kW of IT power and month."""

    support_percent: Annotated[
        Percent,
        Number("support contract", "% of the purchase price a year", "0.1", Looser.UNKNOWN, axis=True, monotone=False),
    ] = 5.0
    """Support contract per year, in percent of the purchase price."""

    staff_monthly: Annotated[
        NonNegative, Number("staff", "a month", "1", Looser.UNKNOWN, axis=True, reads=Reads.MONEY, monotone=False)
    ] = 0.0
    """Staff per month, whatever the number of nodes."""


class Margins(Section):
    """How much caution a plan must have."""

    confidence: Annotated[
        float,
        Field(ge=0.5, le=0.99),
        Number("safety margin for model error", "", "0.01", Looser.DOWN, axis=True, promise=True, reads=Reads.SHARE),
    ] = 0.9
    """One-sided confidence per promise: this quantile of the model error must still meet it. 0.5: no margin."""

    load_headroom: Annotated[
        float,
        Field(ge=0, le=100),
        Number("load headroom", "", "0.01", Looser.DOWN, axis=True, promise=True, reads=Reads.SHARE),
    ] = 0.0
    """Load carried beyond the stated one, as a share (0.2 = 20 % more)."""

    spare_nodes: Annotated[
        int,
        Field(ge=0, le=1000),
        Number("spare nodes", "nodes", "1", Looser.DOWN, axis=True, ends=(0, 16), promise=True),
    ] = 0
    """Nodes that stand by: with so many gone, their replicas start again on these and every promise is kept."""

    survive: Annotated[Survive, Field(strict=False), BeforeValidator(one_of(Survive))] = Survive.NONE
    """What may be gone while every promise is kept by the replicas that still run, none started again: ``node``: any
    one node; ``site``: all nodes of any one provider in one region (a region that is not stated may be any of its
    provider's). Spare nodes are bought on top: they serve nobody, and bring the plan back to full strength.
    ``min_replicas`` counts what is left."""


class Budget(Section):
    """The most a plan may cost."""

    monthly: Annotated[
        Positive | None, Number("budget", "a month", "1", Looser.UP, axis=True, promise=True, reads=Reads.MONEY)
    ] = None
    """Most money per month, in the problem's currency."""


class Ranking(Section):
    """Which plans are listed."""

    top: Annotated[
        int,
        Field(ge=1, le=100),
        Number(
            "plans listed",
            "plans",
            "1",
            Looser.UNKNOWN,
            axis="it says how many plans are listed and changes none",
            monotone=False,
        ),
    ] = 10
    """Most plans listed."""

    distinct_by: Listed[DistinctWord] = (
        DistinctBy.GPU,
        DistinctBy.WEIGHT_QUANT,
    )
    """What two listed plans must differ in."""

    min_grade: GradeWord | None = None
    """The least grade of prediction that a plan may have. A: GPU, model family, precision and layout were measured; B:
    one of them is inferred; C, or left out: any."""

    max_configurations_per_workload: Annotated[
        int,
        Field(ge=1, le=8),
        Number("configurations that share a workload", "configurations", "1", Looser.UP, axis=True),
    ] = 1
    """Most configurations (kinds of GPU, formats, sizes) that may share one workload. 1: one configuration serves all
    of it."""


class ProblemFile(Section):
    """All that a problem file may say."""

    name: Text = "unnamed problem"
    """Title of the report; left out: the name of the file."""

    workloads: Annotated[tuple[Workload, ...], Field(min_length=1)]
    """What has to be served."""

    hardware: Hardware = Hardware()
    """What may be used."""

    offers: tuple[Quote, ...] = ()
    """The user's own quotes."""

    engine: EngineSection = EngineSection()
    """What runs on it."""

    payment: Payment = Payment()
    """How it is paid."""

    ownership: Ownership = Ownership()
    """What owning costs."""

    margins: Margins = Margins()
    """How much caution."""

    objective: Annotated[Objective, Field(strict=False), BeforeValidator(one_of(Objective))] = Objective.MINIMIZE_COST
    """What is optimised first; then cost, then GPUs."""

    budget: Budget = Budget()
    """The most it may cost."""

    ranking: Ranking = Ranking()
    """Which plans are listed."""

    @model_validator(mode="before")
    @classmethod
    def quotes_take_the_currency(cls, data: Any) -> Any:
        """A quote without currency is in ``payment.currency``."""
        if not isinstance(data, dict) or not isinstance(data.get("offers"), (list, tuple)):
            return data
        payment = data.get("payment")
        stated = payment.get("currency") if isinstance(payment, dict) else None
        currency = stated if isinstance(stated, str) and is_currency(stated) else "USD"
        offers = tuple(
            {**quote, "currency": currency} if isinstance(quote, dict) and quote.get("currency") is None else quote
            for quote in data["offers"]
        )
        return {**data, "offers": offers}


class Problem(ProblemFile):
    """A problem file that was read and found sound."""

    path: str
    """The file as it was named."""

    sha256: str
    """Of the file's bytes, and of the ``--set`` options where there are any."""

    warnings: tuple[str, ...] = ()
    """What is allowed but probably not meant."""

    source: bytes = b""
    """The file's bytes: what further edits are made to, whatever became of the file since."""

    sets: tuple[str, ...] = ()
    """The ``PATH=VALUE`` edits it was read with."""


READ_FROM = frozenset({"path", "sha256", "warnings", "source", "sets"})
"""Fields that say where a problem was read from, not what it says."""
