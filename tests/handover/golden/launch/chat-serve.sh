#!/usr/bin/env bash
# Starts one of the 2 servers of workload: chat
# on 2 x h200_sxm_141. Choose its cards with CUDA_VISIBLE_DEVICES=0,1,...
# and its port with PORT; HF_TOKEN is read from the environment where the model is gated.
set -euo pipefail
exec vllm serve neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8 \
    --tensor-parallel-size 2 \
    --gpu-memory-utilization 0.92 \
    --max-model-len 8192 \
    --max-num-seqs 256 \
    --max-num-batched-tokens 8192 \
    --enable-chunked-prefill \
    --host 0.0.0.0 \
    --port "${PORT:-8000}"
