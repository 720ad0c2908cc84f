#!/usr/bin/env bash
# Loads ONE server with its share of the planned traffic. Run it twice; the first run warms up.
#   TTFT p95: limit 1000 ms; expected 740 ms, 90 % range 500 to 1,100
#   TPOT p95: limit 50 ms; expected 31 ms, 90 % range 25 to 39
# HOST and PORT say where the server is, RESULT where the figures go.
set -euo pipefail
vllm bench serve \
    --model meta-llama/Llama-3.1-70B-Instruct \
    --dataset-name random \
    --random-input-len 1024 \
    --random-output-len 300 \
    --request-rate 3.33 \
    --num-prompts 500 \
    --ignore-eos \
    --percentile-metrics ttft,tpot,e2el \
    --metric-percentiles 50,90,95,99 \
    --save-result \
    --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
    --result-filename "${RESULT:-chat-result.json}"
