"""Shell script of the confirming test: it writes the requests where they are not all alike, sends them, and judges.

Requests of one length that share nothing come from the client's own random data. Others are written as JSON lines
(``prompt``, ``output_tokens``) that ``vllm bench serve --dataset-name custom`` reads, with the tokenizer of the model:
lengths as distributed (a law, or the rows of a histogram by their shares), prefixes as shared, another seed in every
run, so that no prompt lies in a cache from before.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from optimizer.handover.launch.server import lengths_of, load_words, requests_file, settings_of
from optimizer.handover.safe_text import bash_command, bash_word, plain
from optimizer.performance.lengths import sigma_of
from optimizer.report.confirm import acceptance, brackets, offer_sentence
from optimizer.report.serve_commands import model_to_load
from optimizer.simulate.load_test import OPEN_GROUPS, SIMILAR
from optimizer.units import significant

if TYPE_CHECKING:
    from optimizer.demand import Lengths
    from optimizer.handover.launch.server import Server


_HEAD = "#!/usr/bin/env bash\n"

_SAVE = {"sglang": ["--output-details"], "vllm": ["--save-result", "--save-detailed"]}
_RESULT = {"sglang": "--output-file"}


def benchmark_script(server: Server) -> str:
    """The test of one group; the result goes to ``RESULT``, conditions and expected ranges stand on top."""
    experiment = server.experiment
    accepted = ", ".join(f"{name} {condition}" for name, condition in acceptance(experiment))
    words = [*server.bench, *_SAVE.get(server.client, _SAVE["vllm"]), *_metadata(server)]
    result = f'"${{RESULT:-{server.name}-result.json}}"'
    lines = [
        f"{_HEAD}# Loads {plain(offer_sentence(experiment))}.",
        f"# Accepted if: {plain(accepted)}. Judge a run: {server.name}-benchmark.sh judge RESULT",
        "# Where a server as planned is expected, nine in ten runs:",
        *(f"#   {plain(line)}" for line in brackets(experiment)),
        *_of_drafts(server),
        "# HOST and PORT say where the server is, RESULT where the figures go, SEED is another in every run.",
        "set -euo pipefail",
        *_judge(server),
        'SEED="${SEED:-$(date +%s)}"',
        *_requests(server),
        f'{bash_command(words)} \\\n    --seed "$SEED" \\\n'
        f'    --host "${{HOST:-127.0.0.1}}" --port "${{PORT:-{server.port}}}" \\\n'
        f"    {_RESULT.get(server.client, '--result-filename')} {result}",
    ]
    return "\n".join(lines) + "\n"


def _of_drafts(server: Server) -> list[str]:
    """What the ranges take for granted where a server drafts: random tokens are accepted otherwise than real text."""
    if server.group.drafts is None:
        return []
    accepted = f"{server.group.drafts.acceptance:.0%}".replace("%", " %")
    return [
        f"# Holds where {accepted} of drafted tokens are accepted, as of real text. Random tokens say nothing of that:",
        "# before you judge a server by this, put prompts of your own in place of the client's random ones.",
    ]


def _metadata(server: Server) -> list[str]:
    """What the client cannot know, written into its result, where ``optimize calibrate`` finds it."""
    spread = {} if server.experiment.test.plain else lengths_of(server)
    known = {**settings_of(server), **load_words(server), "length_low": "1", **spread}
    pairs = [f"{name}={value}" for name, value in known.items() if value]
    return ["--tag", " ".join(pairs)] if server.client == "sglang" else ["--metadata", *pairs]


def _judge(server: Server) -> list[str]:
    """The branch of the script that judges a result."""
    promised = [
        {"metric": str(b.metric), "percentile": b.percentile, "limit_s": b.limit_s, "class": b.length_class}
        for b in server.experiment.brackets
        if b.limit_s is not None
    ]
    case = {
        "promises": promised,
        "output_tokens_per_second": server.experiment.least_output_tokens_per_second,
        "requests": server.experiment.test.requests,
        "classes": requests_file(server.name) if any(one["class"] for one in promised) else None,
    }
    call = f"exec python3 - \"$2\" {bash_word(json.dumps(case))} <<'JUDGE'"
    return ['if [ "${1:-}" = judge ]; then', call, _JUDGE.strip(), "JUDGE", "fi"]


def _requests(server: Server) -> list[str]:
    """What writes the requests of a run, where they are not all alike."""
    test = server.experiment.test
    if test.plain:
        return []
    case = {
        "model": model_to_load(server.group, server.checkpoint),
        "requests": test.requests,
        "classes": [{"name": one.name, "share": one.share, **_lengths(one.lengths)} for one in test.lengths.classes]
        or [{"name": "", "share": 1.0, **_lengths(test.lengths)}],
        "shared_prefix": test.lengths.shared_prefix,
        "requests_per_prefix": test.lengths.requests_per_prefix,
        "open_groups": OPEN_GROUPS,
        "similar": SIMILAR,
    }
    call = f"python3 - \"$SEED\" {bash_word(requests_file(server.name))} {bash_word(json.dumps(case))} <<'REQUESTS'"
    script = _DRAW + (_BY_LAW if test.lengths.histogram is None else _AS_COUNTED) + _WRITE
    return [call, script.strip(), "REQUESTS"]


def _lengths(lengths: Lengths) -> dict[str, object]:
    if lengths.histogram is not None:
        rows, shares = lengths.histogram.whole(lengths.context_max), lengths.histogram.share
        return {"rows": rows, "shares": [significant(share, 6) for share in shares]}
    return {
        "input": lengths.input_mean,
        "input_sigma": sigma_of(lengths.input_mean, lengths.input_p95),
        "output": lengths.output_mean,
        "output_sigma": sigma_of(lengths.output_mean, lengths.output_p95),
        "context_max": lengths.context_max,
    }


_JUDGE = """
import json, sys

case = json.loads(sys.argv[2])
run = json.loads(open(sys.argv[1]).read().strip().splitlines()[-1])
ttft, gaps, made = run["ttfts"], run["itls"], run["output_lens"]
came = [at for at, one in enumerate(ttft) if one > 0 and made[at] > 0]
values = {
    "ttft": {at: ttft[at] for at in came},
    "tpot": {at: sum(gaps[at]) / max(made[at] - 1, 1) for at in came},
    "e2e": {at: ttft[at] + sum(gaps[at]) for at in came},
}
of_class = [json.loads(line)["class"] for line in open(case["classes"])] if case["classes"] else []


def percentile(numbers, wanted):
    numbers = sorted(numbers)
    place = (len(numbers) - 1) * wanted / 100
    low = int(place)
    high = min(low + 1, len(numbers) - 1)
    return numbers[low] + (numbers[high] - numbers[low]) * (place - low)


failed = case["requests"] - len(came)
kept = failed == 0
print("failed requests:", failed, "of", case["requests"])
for one in case["promises"]:
    mine = [value for at, value in values[one["metric"]].items() if not one["class"] or of_class[at] == one["class"]]
    seen = percentile(mine, one["percentile"]) if mine else float("inf")
    kept = kept and seen <= one["limit_s"]
    name = " ".join(filter(None, [one["class"], one["metric"].upper(), "p%g" % one["percentile"]]))
    print("%s: %.4g s, limit %.4g s: %s" % (name, seen, one["limit_s"], "kept" if seen <= one["limit_s"] else "MISSED"))
least = case["output_tokens_per_second"]
if least is not None:
    kept = kept and run["output_throughput"] >= least
    print("output tokens/s: %.4g, at least %.4g" % (run["output_throughput"], least))
print("accepted" if kept else "NOT accepted")
sys.exit(0 if kept else 1)
"""

_DRAW = '''
import json, math, random, sys

from transformers import AutoTokenizer

seed, path, case = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
draw = random.Random(seed)
tokenizer = AutoTokenizer.from_pretrained(case["model"])
special = set(tokenizer.all_special_ids)
words = [token for token in range(len(tokenizer)) if token not in special]
names, shares = range(len(case["classes"])), [one["share"] for one in case["classes"]]
together, group_of = case["requests_per_prefix"], {}
share = case["shared_prefix"] * (together / (together - 1) if together else 1.0)


def length(mean, sigma):
    return mean if sigma == 0 else draw.lognormvariate(math.log(mean) - sigma * sigma / 2, sigma)


def tokens(count, source=draw):
    return [source.choice(words) for _ in range(count)]


def prompt_of(count, begin, stream):
    """A text of so many tokens that begins with the first ones of a group's stream."""
    while len(stream) < begin:
        stream.append(draw.choice(words))
    text = tokenizer.decode(stream[:begin] + tokens(count - begin))
    for _ in range(8):  # decoding joins and splits tokens: mend the length at the end, where nothing is shared
        seen = tokenizer.encode(text, add_special_tokens=False)
        if len(seen) == count:
            break
        text = tokenizer.decode(seen[:count] if len(seen) > count else seen + tokens(count - len(seen)))
    return text


with open(path, "w") as out:
    for _ in range(case["requests"]):
        one = case["classes"][draw.choices(names, shares)[0]]
'''

_BY_LAW = """\
        output = round(min(max(length(one["output"], one["output_sigma"]), 1), max(one["context_max"] - 1, 1)))
        prompt = round(min(max(length(one["input"], one["input_sigma"]), 1), max(one["context_max"] - output, 1)))
"""

_AS_COUNTED = """\
        prompt, output = draw.choices(one["rows"], one["shares"])[0]
"""
"""Lengths of one request: each by its law, or a row of a histogram by its share."""

_WRITE = """        place, begin = 0, int(share * prompt)
        if together:  # requests of a group are about as long
            size = math.floor(math.log(prompt) / math.log(case["similar"]))
            place = (one["name"], size, draw.randrange(case["open_groups"]))
            begin = int(share * case["similar"] ** (size + 0.5))
        begin = min(begin, prompt - 1)
        members, stream = group_of.setdefault(place, (0, []))
        text = prompt_of(prompt, begin, stream)
        row = {"prompt": text, "output_tokens": output, "class": one["name"], "prompt_tokens": prompt}
        out.write(json.dumps(row) + "\\n")
        group_of[place] = (members + 1, stream)
        if together and members + 1 == together:
            del group_of[place]
"""
