#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks and times everything that needs an NVIDIA GPU, on this machine, without a network and
# without an installation: run it in the clone with a Python that has torch with CUDA, numpy, scipy,
# OpenCV, threadpoolctl, typer and rich. Engines whose library is not there are passed over, with
# the reason. RUNGS names what is measured, with commas between: in parts where time is short, as
# torch.compile (cuda_graph-fp16-compiled) takes minutes.
#   [RUNGS=cuda_graph-fp16,cuda_graph-fp32] tools/gpu_check.sh [FOLDER FOR RESULTS]
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
OUT=${1:-gpu_check}
PYTHON=${PYTHON:-python3}
mkdir -p "$OUT"
export PYTHONPATH=$PWD PYTHONUNBUFFERED=1
CACHE=$(mktemp -d)
trap 'rm -rf "$CACHE"' EXIT
status=0
"$PYTHON" -c 'import sys, torch
print(torch.__version__, torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no GPU")
sys.exit(not torch.cuda.is_available())' || exit 2
"$PYTHON" -m pytest -q -p no:cacheprovider --noconftest test/dice/test_on_gpu.py 2>&1 |
  tee "$OUT/tests.txt" || status=1
"$PYTHON" -m ros2_dice.cli.main benchmark dice --device "${DEVICE:-cuda:0}" --runs 100 \
  --rungs "${RUNGS:-}" \
  --batches 1,4 --threads "$(nproc)" --cache-directory "$CACHE" --json "$OUT/benchmark.json" \
  --plot "$OUT/benchmark.png" 2>&1 | tee "$OUT/benchmark.txt" || status=1
exit "$status"
