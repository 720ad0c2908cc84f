"""A question answered as the command line does, from the text in it alone: no file that it names is opened."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict

import optimizer
from optimizer.planning.known import KnownProblems, keeping
from optimizer.service import questions as ask

_QUOTES, _ROWS = Path("quotes.csv"), Path("rows.csv")

_PROBLEMS_KEPT = 3
"""Problem files of which a process keeps what it worked out."""


class _How(TypedDict):
    """What all questions that solve take."""

    simulate: bool
    time_limit: float


def _how(question: ask.ProblemQuestion) -> _How:
    return {"simulate": question.simulate, "time_limit": question.time_limit}


def answer(question: ask.ServedQuestion) -> str:
    """The JSON of the command. Raises ``InputError`` with every finding, ``OutOfTimeError``."""
    if isinstance(question, ask.WordsQuestion):
        return _words(question)
    texts = {}
    if isinstance(question, ask.ProblemQuestion) and question.quotes.strip():
        texts[str(_QUOTES)] = question.quotes.encode("utf-8", "surrogatepass")
    if isinstance(question, ask.PredictQuestion):
        texts[str(_ROWS)] = question.rows.encode("utf-8", "surrogatepass")
    catalog = _catalog()
    with optimizer.files_closed(texts, Path(catalog.root)):
        if isinstance(question, ask.MemoryQuestion):
            return optimizer.render(_memory(question, catalog), "json")
        if isinstance(question, ask.PredictQuestion):
            return optimizer.render(optimizer.predict(_ROWS, catalog), "json")
        assert isinstance(question, ask.ProblemQuestion)
        return _about_problem(question, catalog)


def _words(question: ask.WordsQuestion) -> str:
    from optimizer.handover.language import error_translator, translator

    say = error_translator(question.lang) if question.of == "errors" else translator(question.lang)
    return json.dumps({"texts": [say(text) for text in question.texts]}, ensure_ascii=False)


@lru_cache(maxsize=1)
def _catalog() -> optimizer.Catalog:
    """The packaged catalogs, read once a process."""
    return optimizer.load_catalog()


def _about_problem(question: ask.ProblemQuestion, catalog: optimizer.Catalog) -> str:
    problem = optimizer.parse_problem(question.problem, name=question.name, sets=question.set)
    if question.quotes.strip():
        problem = optimizer.add_quotes(problem, [_QUOTES], catalog).problem
    with keeping(_known()):  # a slider that moves asks little anew
        return _ABOUT[type(question)](question, problem, catalog)


@lru_cache(maxsize=1)
def _known() -> KnownProblems:
    return KnownProblems(_PROBLEMS_KEPT)


def _solve(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    from optimizer.negotiate.solve import solved

    found = solved(problem, catalog, **_how(question), tested=False)  # its JSON shows no tests
    return optimizer.render(found.outcome, "json")


def _check(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    return optimizer.render(optimizer.check(problem, catalog), "json")


def _explain(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    assert isinstance(question, ask.ExplainQuestion)
    if question.why_not is not None:
        return optimizer.render(optimizer.why_not(problem, question.why_not, catalog, **_how(question)), "json")
    return optimizer.render(optimizer.explain(problem, catalog, **_how(question)), "json")


def _budget(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    assert isinstance(question, ask.BudgetQuestion)
    return optimizer.render(optimizer.budget(problem, question.monthly, catalog, **_how(question)), "json")


def _targets(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    return optimizer.render(optimizer.targets(problem, catalog, **_how(question)), "json")


def _frontier(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    assert isinstance(question, ask.FrontierQuestion)
    over, against, points = question.over, question.against, question.points
    stairs = optimizer.frontier(problem, over, against, catalog, points=points, jobs=1, **_how(question))
    return optimizer.render(stairs, "json")


def _export(question: ask.ProblemQuestion, problem: optimizer.Problem, catalog: optimizer.Catalog) -> str:
    from optimizer.service.exports import exported

    assert isinstance(question, ask.ExportQuestion)
    return exported(problem, catalog, form=question.form, lang=question.lang, **_how(question))


_ABOUT: Mapping[
    type[ask.ServedQuestion], Callable[[ask.ProblemQuestion, optimizer.Problem, optimizer.Catalog], str]
] = MappingProxyType(
    {
        ask.SolveQuestion: _solve,
        ask.CheckQuestion: _check,
        ask.ExplainQuestion: _explain,
        ask.BudgetQuestion: _budget,
        ask.TargetsQuestion: _targets,
        ask.FrontierQuestion: _frontier,
        ask.ExportQuestion: _export,
    }
)


def _memory(question: ask.MemoryQuestion, catalog: optimizer.Catalog) -> optimizer.MemoryAnswer:
    options = optimizer.ReplicaOptions(
        engine=question.engine,
        version=question.engine_version,
        quant=question.quant,
        kv_cache=question.kv,
        tp=question.tp,
        pp=question.pp,
        attention_dp=question.attention_dp,
        expert_parallel=question.expert_parallel,
        share=question.gpu_memory_utilization,
        sequences=question.max_num_seqs,
        batched=question.max_num_batched_tokens,
        context=question.context,
    )
    return optimizer.memory(question.model, question.gpu, catalog, users=question.users, options=options)
