#!/usr/bin/env bash
# Loads ONE server: 50 requests held in flight, which begin one after another; 1,000 requests in all.
# Accepted if: TTFT p95 <= 1 s, TPOT p95 <= 50 ms, failed requests 0. Judge a run: chat-benchmark.sh judge RESULT
# Where a server as planned is expected, nine in ten runs:
#   TTFT p95: limit 1000 ms; expected 740 ms, 90 % range 500 to 1,100
#   TPOT p95: limit 50 ms; expected 31 ms, 90 % range 25 to 39
# HOST and PORT say where the server is, RESULT where the figures go, SEED is another in every run.
set -euo pipefail
if [ "${1:-}" = judge ]; then
exec python3 - "$2" '{"promises": [{"metric": "ttft", "percentile": 95, "limit_s": 1.0, "class": ""}, {"metric": "tpot", "percentile": 95, "limit_s": 0.05, "class": ""}], "output_tokens_per_second": null, "requests": 1000, "classes": null}' <<'JUDGE'
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
JUDGE
fi
SEED="${SEED:-$(date +%s)}"
vllm bench serve \
    --model neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8 \
    --dataset-name random \
    --random-input-len 1024 \
    --random-output-len 300 \
    --ignore-eos \
    --percentile-metrics ttft,tpot,e2el \
    --metric-percentiles 50,90,95,99 \
    --request-rate 3.67 \
    --max-concurrency 50 \
    --burstiness 1000 \
    --num-prompts 1000 \
    --save-result \
    --save-detailed \
    --metadata gpu=h200_sxm_141 \
    gpu_count=2 interconnect=nvlink nodes=1 engine=vllm weight_quant=fp8 kv_cache=auto tp=2 pp=1 replicas=1 gpu_memory_utilization=0.92 max_num_seqs=256 max_num_batched_tokens=8192 load=closed_loop start=steady length_low=1 \
    --seed "$SEED" \
    --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
    --result-filename "${RESULT:-chat-result.json}"
