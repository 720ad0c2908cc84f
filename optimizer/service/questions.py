"""What may be asked: one model per question, the same for HTTP, the Model Context Protocol and the page.

Names and meanings are those of the command line. No field names a file: what a question needs travels in it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT = 1 << 20
"""Characters of a problem, of a list of quotes or of a table of rows."""

MAX_SECONDS = 300.0
"""Longest time one question may take."""

MOST_SETS, MOST_SET_CHARACTERS = 200, 20_000
_ID = 300

Edit = Annotated[str, StringConstraints(max_length=MOST_SET_CHARACTERS)]
Id = Annotated[str, StringConstraints(max_length=_ID)]
Sentence = Annotated[str, StringConstraints(max_length=1000)]
Axis = tuple[Id, Id]


class ServedQuestion(BaseModel):
    """What all questions have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)

    command: ClassVar[str]

    time_limit: Annotated[
        float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False, description="Seconds it may take.")
    ] = MAX_SECONDS


class ProblemQuestion(ServedQuestion):
    """A question about a problem."""

    problem: Annotated[
        str,
        Field(max_length=MAX_TEXT, description="The problem file as YAML text; no file that it names is opened."),
    ]
    name: Annotated[
        str,
        StringConstraints(pattern=r"^[\w][\w .()-]{0,99}$"),
        Field(description="What stands for the problem's file in findings and reports."),
    ] = "problem.yaml"
    set: Annotated[
        tuple[Edit, ...],
        Field(max_length=MOST_SETS, description="Edits PATH=VALUE, e.g. workloads.chat.slo.ttft_ms=1500."),
    ] = ()
    quotes: Annotated[
        str, Field(max_length=MAX_TEXT, description="A list of quotes as CSV text, beside the offers of the problem.")
    ] = ""
    simulate: Annotated[bool, Field(description="Replay plans request by request before they are ranked.")] = True


class SolveQuestion(ProblemQuestion):
    """Rank the cheapest deployments that keep every promise, with a proof."""

    command = "solve"


class CheckQuestion(ProblemQuestion):
    """Say what was understood of a problem, or everything that is wrong with it."""

    command = "check"


class ExplainQuestion(ProblemQuestion):
    """Say why the best plan is the best, what each promise costs; or why not another plan."""

    command = "explain"

    why_not: Annotated[Id | None, Field(description='Why not this: e.g. "a100_sxm_80 int4 tp2", or a provider.')] = None


class BudgetQuestion(ProblemQuestion):
    """Say what a monthly budget buys: the most load, the best latencies."""

    command = "budget"

    monthly: Annotated[
        float | None, Field(ge=0, le=1e12, allow_inf_nan=False, description="Left out: budget.monthly of the problem.")
    ] = None


class TargetsQuestion(ProblemQuestion):
    """Solve for the price per GPU-hour below which each other card and provider would win."""

    command = "targets"


class FrontierQuestion(ProblemQuestion):
    """Draw the exact cost staircase over a number of the problem."""

    command = "frontier"

    over: Annotated[Axis, Field(description='Field and range FROM:TO[:STEP], e.g. ["concurrency", "50:400"].')]
    against: Annotated[Axis | None, Field(description="One staircase per value of a second field.")] = None
    points: Annotated[int | None, Field(ge=2, le=50, description="Values of `against`: 20.")] = None


class MemoryQuestion(ServedQuestion):
    """Say what a model needs on a card, layer by layer, and whether its engine starts."""

    command = "memory"

    model: Annotated[Id, Field(description="Id of a model in the catalog.")]
    gpu: Annotated[Id | None, Field(description="Id of a card; left out: the model alone is described.")] = None
    context: Annotated[int | None, Field(ge=2, le=10**9, description="max_model_len in tokens.")] = None
    users: Annotated[int, Field(ge=1, le=10**9, description="Requests held at once.")] = 1
    quant: Id | None = None
    kv: Annotated[Id | None, Field(pattern="^(auto|fp8)$")] = None
    tp: Annotated[int, Field(ge=1, le=4096)] = 1
    pp: Annotated[int, Field(ge=1, le=4096)] = 1
    attention_dp: Annotated[int, Field(ge=1, le=4096)] = 1
    expert_parallel: Annotated[int | None, Field(ge=1, le=4096)] = None
    gpu_memory_utilization: Annotated[float | None, Field(ge=0.01, le=1, allow_inf_nan=False)] = None
    max_num_seqs: Annotated[int | None, Field(ge=1, le=10**9)] = None
    max_num_batched_tokens: Annotated[int | None, Field(ge=1, le=10**9)] = None
    engine: Id = "vllm"
    engine_version: Id = ""


class PredictQuestion(ServedQuestion):
    """Predict latency and throughput of single configurations given as CSV."""

    command = "predict"

    rows: Annotated[
        str,
        Field(max_length=MAX_TEXT, description="CSV: gpu, model, input_tokens, output_tokens, what the load needs."),
    ]


class ExportQuestion(ProblemQuestion):
    """Hand the answer over as a file: the page of the report, the workbook, the plan file, or what starts a plan."""

    command = "export"

    form: Annotated[
        Literal["report", "shortlist", "plan", "launch"],
        Field(description="report: HTML; shortlist: .xlsx; plan: the plan file; launch: a .zip of what starts #1."),
    ]
    lang: Annotated[Literal["en", "zh"], Field(description="Language of report and shortlist.")] = "en"


class WordsQuestion(ServedQuestion):
    """Say sentences of the page and of answers in another language; what is not known stays as it is."""

    command = "words"

    texts: Annotated[tuple[Sentence, ...], Field(max_length=500, description="Sentences in English.")]
    lang: Annotated[Literal["zh"], Field(description="The language wanted.")] = "zh"
    of: Annotated[
        Literal["answers", "errors"], Field(description="errors: what is wrong with a question and how to mend it.")
    ] = "answers"


QUESTIONS: tuple[type[ServedQuestion], ...] = (
    SolveQuestion,
    CheckQuestion,
    ExplainQuestion,
    BudgetQuestion,
    TargetsQuestion,
    FrontierQuestion,
    MemoryQuestion,
    PredictQuestion,
)

OVER_HTTP: tuple[type[ServedQuestion], ...] = (*QUESTIONS, ExportQuestion, WordsQuestion)
"""Those, and files and words for the page, which an assistant has no use for."""
