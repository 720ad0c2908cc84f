"""Terms of the reports, each explained once and in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optimizer.report.layout import Say, labelled

TERMS: tuple[tuple[str, str], ...] = (
    ("TTFT", "time to first token: waiting in the queue plus reading the prompt, at the server"),
    ("TPOT", "time per output token after the first; 50 ms is 20 tokens/s for one user"),
    ("E2E", "end to end: from sending a request to its last token"),
    ("p95", "95 of 100 requests are at or below this; p50 is the median, p99 is 99 of 100"),
    ("in flight", "requests that are being answered, or wait, at the same moment"),
    ("replayed", "seen when requests were sent through the plan one by one, in a simulation of the engine"),
    ("estimated", "worked out by formula, not replayed (--no-simulate)"),
    ("90 %, [a-b]", "band: the true value lies inside in 9 of 10 cases; beside it the median estimate"),
    ("confidence", "in so many of 100 cases a promise still holds, judging by past errors of the model"),
    ("margin", "what the error of the model at the asked confidence adds to a latency before it meets its limit"),
    ("proven", "the solver's bound equals the answer: no setup enumerated is better, under the model and prices named"),
    ("setup", "one configuration: GPU, node, number format, parallelism; the proof is over those enumerated"),
    ("room", "how much more of the planned load fits by formula: +38 % or x3.1; as replayed: `optimize explain`"),
    ("binds", "the promise or limit that the plan runs closest to, error margin included"),
    ("20 % worse", "20 % above the median estimate: a milder test than the far end of the band"),
    ("tie", "less than 3 % apart: treat as equal"),
    ("grade (gr)", "A: GPU, model family, precision and layout measured; B: one of them inferred; C: extrapolated"),
    ("weights", "number format of the model's weights (FP8, INT4, ...); fewer bits need less memory"),
    ("as published", "weights in a format that somebody publishes: nothing to quantize yourself"),
    ("quality", "share of its published quality that the model must keep in a smaller number format"),
    ("KV", "KV cache: GPU memory that holds what each request in flight has read and written"),
    ("KV FP8", "the KV cache in 8 bits instead of 16: half the memory"),
    ("TP2 x 3", "3 copies of the model (replicas), each split over 2 GPUs that share the work on every token"),
    ("PP2", "the layers of each copy sit on 2 GPUs (or groups of them) one after the other"),
    ("DP8 EP8", "a mixture of experts on 8 ranks with requests of their own (DP), its experts dealt to 8 GPUs (EP)"),
    ("MTP2", "2 tokens drafted by the model's own prediction layers, which one step then verifies together"),
    ("EAGLE3-3", "the same with 3 tokens, drafted by a published EAGLE-3 head: a small model beside the large one"),
    ("NVLink", "direct links between GPUs (AMD: xGMI); PCIe is the slower way through the host"),
    ("node", "one server with all its GPUs: rented or bought as a whole"),
    ("idle", "GPUs that are paid for, because the node comes with them, but serve nothing"),
    ("spare", "a node kept in reserve, so that one may fail"),
    ("owed", "what the signature binds to pay, whatever happens: commitments and purchases"),
    ("1y, 3y", "paid with a commitment of one or three years; without a word: on demand"),
    ("on demand", "rented by the hour without commitment"),
    ("spot", "rented cheaply by the hour; the provider may take it back at short notice"),
    ("quote", "price class: your own quote, from the problem file or --quotes"),
    ("list", "price class: published by the provider itself, dated"),
    ("indicative", "price class (indic.): dated figure of a tracker or a marketplace, not the provider's own list"),
    ("$/M", "monthly cost over millions of output tokens expected in a month"),
    ("volume", "what the stated load makes in a month, times payment.mean_load"),
    ("stated, peak", "the load as the file says it; times peak_factor at the peak; planned: with load_headroom on top"),
)
_COLUMN = 14


def glossary(words: Sequence[str] = (), say: Say = str) -> Iterator[str]:
    """The terms that hold any of the words, in either language and letters of any size; without words all of them."""
    for term, meaning in TERMS:
        if not words or any(word.lower() in f"{term} {say(term)}".lower() for word in words):
            yield from labelled(say(term), say(meaning), _COLUMN)
