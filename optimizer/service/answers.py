"""A question answered as the command line does, from the text in it alone: no file that it names is opened."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import optimizer
from optimizer.service import questions as ask

_QUOTES, _ROWS = Path("quotes.csv"), Path("rows.csv")


def answer(question: ask.Question) -> str:
    """The JSON of the command. Raises ``InputError`` with every finding, ``OutOfTimeError``."""
    texts = {}
    if isinstance(question, ask.ProblemQuestion) and question.quotes.strip():
        texts[str(_QUOTES)] = question.quotes.encode("utf-8", "surrogatepass")
    if isinstance(question, ask.Predict):
        texts[str(_ROWS)] = question.rows.encode("utf-8", "surrogatepass")
    catalog = _catalog()
    with optimizer.files_closed(texts, Path(catalog.root)):
        if isinstance(question, ask.Memory):
            return optimizer.render(_memory(question, catalog), "json")
        if isinstance(question, ask.Predict):
            return optimizer.render(optimizer.predict(_ROWS, catalog), "json")
        assert isinstance(question, ask.ProblemQuestion)
        return _about_problem(question, catalog)


@lru_cache(maxsize=1)
def _catalog() -> optimizer.Catalog:
    """The packaged catalogs, read once a process."""
    return optimizer.load_catalog()


def _about_problem(question: ask.ProblemQuestion, catalog: optimizer.Catalog) -> str:
    problem = optimizer.parse_problem(question.problem, name=question.name, sets=question.set)
    if question.quotes.strip():
        problem = optimizer.add_quotes(problem, [_QUOTES], catalog).problem
    simulate, limit = question.simulate, question.time_limit
    match question:
        case ask.Check():
            return optimizer.render(optimizer.check(problem, catalog), "json")
        case ask.Explain(why_not=str(wish)):
            told = optimizer.why_not(problem, wish, catalog, simulate=simulate, time_limit=limit)
            return optimizer.render(told, "json")
        case ask.Explain():
            return optimizer.render(optimizer.explain(problem, catalog, simulate=simulate, time_limit=limit), "json")
        case ask.Budget():
            bought = optimizer.budget(problem, question.monthly, catalog, simulate=simulate, time_limit=limit)
            return optimizer.render(bought, "json")
        case ask.Targets():
            return optimizer.render(optimizer.targets(problem, catalog, simulate=simulate, time_limit=limit), "json")
        case ask.Frontier():
            stairs = optimizer.frontier(
                problem,
                question.over,
                question.against,
                catalog,
                points=question.points,
                jobs=1,
                simulate=simulate,
                time_limit=limit,
            )
            return optimizer.render(stairs, "json")
        case _:
            return optimizer.render(optimizer.solve(problem, catalog, simulate=simulate, time_limit=limit), "json")


def _memory(question: ask.Memory, catalog: optimizer.Catalog) -> optimizer.MemoryAnswer:
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
