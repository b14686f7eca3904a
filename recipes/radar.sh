#!/usr/bin/env bash
# How the shipped weights `radar`, the networks of the folds and their scores were made; about an hour and a half on one
# core (bf16), half of it for the folds and the ablation. Run again, it carries on.
#   bash recipes/radar.sh ARCHIVE MRMS      (from the repository's root)
# ARCHIVE is the folder of the pysteps example archive, MRMS a CF-Zarr of its MRMS frames of 10 June 2019 (rain rate of
# the contiguous United States, 0.01 degrees, every two minutes). Pretraining sees synthetic rain and three parts of the
# MRMS grid, every fold and the final network these parts and the archive: all its five events, or all but one.
set -euo pipefail
archive=${1:?name the folder of the pysteps example archive} mrms=${2:?name a CF-Zarr of MRMS}
now=".venv/bin/python -m nowcastlib"
data=data/radar
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

ingest() { $now ingest --source archive --path "$archive" "$@"; }
ingest --product mch --start 2015-05-15 --end 2015-05-16 --out $data/mch2015.zarr
ingest --product mch --start 2017-01-01 --end 2017-02-01 --out $data/mch2017.zarr
ingest --product fmi --start 2017-05-09 --end 2017-05-10 --out $data/fmi.zarr
ingest --product knmi --start 2010-08-26 --end 2010-08-27 --out $data/knmi.zarr
ingest --product bom --start 2018-06-16 --end 2018-06-17 --regrid 256 --out $data/bom.zarr
part() { $now ingest --source cloud --path "$mrms" --every 2 --out $data/mrms$1.zarr --crop $2 $3 $4 $5; }
part 1 3700 200 1800 1700
part 2 4100 1900 1500 1500
part 3 1500 0 2200 1000
part 4 1700 2250 1700 800 # to watch the loss on; nothing is chosen by it
$now ingest --source demo --events 40 --pixels 256 --out $data/synthetic.zarr

train() { # RUN EPOCHS STORES, further options
    local run=$data/$1 epochs=$2 stores resume
    read -ra stores <<<"$3"
    shift 3
    if [ -e $run/last.pt ]; then resume=--resume; else resume=; fi
    $now train --data "${stores[@]/%/.zarr}" --validation $data/mrms4.zarr --out $run $resume \
        --config.model.kind guided --config.model.hidden 32 32 --config.model.kernel 5 3 --config.model.stride 1 \
        --config.model.patch 4 --config.model.norm layer --config.n-out 12 --config.crop 160 --config.batch 2 \
        --config.epochs $epochs --config.warmup 0.05 --config.optimiser adamw --config.weight-decay 1e-4 \
        --config.loss exceedance --config.keep last --config.vary 0.3 --config.strides 1 2 --config.precision bf16 "$@"
}
keep() { # RUN FOLDER
    mkdir -p "$2"
    cp $data/$1/{model.safetensors,config.json,history.csv} "$2"
}
america="$data/mrms1 $data/mrms2 $data/mrms3"
events=(mch2015 mch2017 fmi knmi bom)
tuned=(--config.lr 5e-4 --start)
diverse=(--config.least 1000) # an America of one window is a thousand squares

train pretrained 16 "$america $data/synthetic"
for fold in "${events[@]}"; do
    others=("${events[@]/$fold/}")
    train fold_$fold 5 "$(printf "$data/%s " ${others[*]}) $america" "${diverse[@]}" "${tuned[@]}" $data/pretrained
    keep fold_$fold recipes/radar/folds/$fold
done
train final 5 "${events[*]/#/$data/} $america" "${diverse[@]}" "${tuned[@]}" $data/pretrained
keep final nowcastlib/weights/radar

# The ablation: 500 steps each, without the event of 2015
others="$data/mch2017 $data/fmi $data/knmi $data/bom $america"
train full_pretrained 3 "$america $data/synthetic"
train full 2 "$others" "${tuned[@]}" $data/full_pretrained
train no_pretraining 5 "$others"
train no_motion_pretrained 3 "$america $data/synthetic" --config.model.no-motion
train no_motion 2 "$others" --config.model.no-motion "${tuned[@]}" $data/no_motion_pretrained
train no_balance_pretrained 3 "$america $data/synthetic" --config.loss exceedance_alike
train no_balance 2 "$others" --config.loss exceedance_alike "${tuned[@]}" $data/no_balance_pretrained
for variant in full no_pretraining no_motion no_balance; do keep $variant recipes/radar/ablation/$variant; done

.venv/bin/python benchmarks/radar_folds.py
.venv/bin/python - $data/mch2015.zarr docs/forecast.gif <<'PYTHON'
import sys

from nowcastlib.data import grid
from nowcastlib.display import plots
from nowcastlib.data import store
from nowcastlib.forecasting.nowcast import forecast, forecaster

frames = grid.centre(store.open_frames(sys.argv[1]), 256)
shown = {"radar": "recipes/radar/folds/mch2015", "S-PROG": "sprog"}  # a network that has not seen this day
shown = {name: forecast(forecaster(run), frames, "2015-05-15T17:00", 12) for name, run in shown.items()}
observed = frames.sel(time=shown["radar"].valid_time.values)
plots.save_animation({"observed": observed} | shown, sys.argv[2])
PYTHON
