#!/usr/bin/env bash
# Speed table and trainings on a machine with one GPU and no network; see docs/training.md.
#   bash FOLDER/recipes/gpu.sh OUT [MINUTES_MNIST MINUTES_CONVEDLSTM MINUTES_GUIDED]
# FOLDER is what recipes/pack.sh has made. Each training stops after whole epochs within its minutes
# (9, 15 and 15; 0 leaves it out). OUT gets for each network its weights, history and scores. After
# an interruption, run it again: runs are resumed. TINY=1 runs all of it at a tiny size on any machine
# (TINY=1 with 0.2 0.2 0.2 minutes: within 3 minutes on two CPU cores).
set -euo pipefail
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:?name the folder for the results}"
out=$(cd "$1" && pwd)
minutes_mnist=${2:-9} minutes_convedlstm=${3:-15} minutes_guided=${4:-15}
python=${PYTHON:-python3}
tiny=${TINY:-}
export PYTHONPATH="$folder:$out/packages"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
nowcast="$python -m nowcastlib"
if [ ! -e "$out/packages" ]; then
    for wheel in "$folder"/packages/*.whl; do
        $python -m zipfile -e "$wheel" "$out/packages.part"
    done
    mv "$out/packages.part" "$out/packages"
fi
workers=$(($(nproc) > 2 ? $(nproc) - 2 : 0))
if [ "$tiny" ]; then workers=0; fi

if [ ! -e "$out/speed.csv" ]; then
    $python "$folder/benchmarks/graph_speed.py" ${tiny:+--tiny} --csv "$out/speed.csv"
fi

first() { # the options for a real training, or those for a tiny one
    if [ "$tiny" ]; then echo "$2"; else echo "$1"; fi
}

train() { # arguments: NAME MINUTES EPOCHS SHARE OPTIONS...; a step takes SHARE of a longest one
    local name=$1 minutes=$2 epochs=$3 share=$4 began=$SECONDS run=$out/$1 steps resume=()
    shift 4
    if [ "$minutes" = 0 ]; then return; fi
    if [ -e "$run/last.pt" ]; then
        resume=(--resume)
        steps=$($python -c 'import json, sys
print(json.load(open(sys.argv[1]))["config"]["run"]["steps"])' "$run/config.json")
    else
        # The second epoch of a short run tells the seconds of a step; it is not kept.
        rm -rf "$out/probe" "$run"
        $nowcast train --out "$out/probe" --config.epochs 2 --config.steps $(first 20 4) --graph \
            --workers $workers "$@" > /dev/null
        steps=$($python -c 'import csv, sys
seconds = float(list(csv.DictReader(open(sys.argv[1])))[1]["seconds"]) / float(sys.argv[2])
minutes, spent, epochs, share = (float(word) for word in sys.argv[3:])
print(max(2, int(0.9 * (60 * minutes - spent) / epochs / seconds / share)))' "$out/probe/history.csv" \
            $(first 20 4) $minutes $((SECONDS - began)) $epochs $share)
        rm -r "$out/probe"
    fi
    echo "$name: $epochs epochs of $steps steps"
    $nowcast train --out "$run" "${resume[@]}" --config.epochs $epochs --config.steps $steps \
        --minutes $minutes --graph --workers $workers "$@" ${curriculum:+--config.curriculum $curriculum}
}

stores=$out/stores
if [ ! -e "$stores/.whole" ]; then
    for part in train test; do
        $python "$folder/recipes/packed_stores.py" unpack "$folder/$part" "$stores/$part"
    done
    mkdir -p "$stores" && touch "$stores/.whole"
fi

curriculum=$(first "2 4 6 8 10 10 10 10" "2 3") train mnist $minutes_mnist $(first 24 2) 0.85 \
    --data moving-mnist --config.crop 0 --config.model.stride 1 --config.model.patch 4 \
    --config.model.norm group --config.loss kl --config.warmup 0.02 --config.lr 2e-3 \
    $(first "--config.model.hidden 64 64 64 --config.model.kernel 5 5 5 --config.n-in 10
        --config.n-out 10 --config.batch 64 --config.precision bf16" \
        "--config.model.hidden 4 --config.model.kernel 3 --config.n-in 3 --config.n-out 3
        --config.batch 2 --config.precision no")
if [ -e "$out/mnist/model.safetensors" ]; then
    $python "$folder/recipes/score_films.py" "$out/mnist" $(first 1000 20)
fi

shopt -s nullglob
radar=("$stores"/train/*.zarr)
curriculum=$(first "1 2 3 4 6 8 10 12" "1 2") train convedlstm $minutes_convedlstm \
    $(first 24 2) 0.65 --data "${radar[@]}" --config.sampling 0.5 --config.model.norm layer \
    --config.model.stride 2 --config.vary 0.3 \
    $(first "--config.model.hidden 64 32 32 16 --config.model.kernel 5 5 5 5 --config.n-in 6
        --config.n-out 12 --config.batch 16 --config.crop 128 --config.precision bf16
        --config.min-windows 500" \
        "--config.model.hidden 4 4 --config.model.kernel 3 3 --config.n-in 2 --config.n-out 2
        --config.batch 2 --config.crop 32 --config.precision no")
curriculum="" train guided $minutes_guided $(first 16 2) 1 --data "${radar[@]}" \
    --config.model.kind guided --config.model.patch 4 --config.model.norm layer --config.loss exceedance \
    --config.vary 0.3 --config.weight-decay 1e-4 --config.warmup 0.05 \
    $(first "--config.model.hidden 64 64 --config.model.kernel 5 3 --config.n-out 12
        --config.batch 16 --config.crop 160 --config.keep last --config.precision bf16
        --config.min-windows 500" \
        "--config.model.hidden 4 4 --config.model.kernel 3 3 --config.n-in 2 --config.n-out 2
        --config.batch 2 --config.crop 32 --config.precision no")

for name in convedlstm guided; do
    for store in "$stores"/test/*.zarr; do
        if [ ! -e "$out/$name/model.safetensors" ]; then continue; fi
        scores=$out/$name/scores_$(basename "$store" .zarr).json
        $nowcast evaluate --data "$store" --forecasters "$out/$name" --size $(first 256 32) \
            --leads $(first 12 2) --every $(first 3 8) --json "$scores"
    done
done
for name in mnist convedlstm guided; do
    weights=$out/$name/model.safetensors
    if [ -e "$weights" ] && [ "$(stat -c %s "$weights")" -ge 10000000 ]; then
        echo "$weights has 10 MB or more" >&2
        exit 1
    fi
done
