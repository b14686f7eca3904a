#!/usr/bin/env bash
# Trains the shipped weights `radar` and the networks of the folds and the ablation, and scores
# them; about an hour and a half on one CPU core (bf16), half of it for the folds and the ablation.
#   bash recipes/radar.sh ARCHIVE MRMS      (run from the root of the repository)
# ARCHIVE is the folder of the pysteps example archive. MRMS is a CF-Zarr store of its MRMS frames
# of 10 June 2019 (rain rate of the contiguous United States, 0.01 degrees, every two minutes).
# Pretraining uses synthetic rain and three parts of the MRMS grid. The final network is then
# trained on these three parts and the five events of the archive; each fold leaves one event out.
# After an interruption, run it again: it resumes.
set -euo pipefail
archive=${1:?name the folder of the pysteps example archive} mrms=${2:?name a CF-Zarr of MRMS}
nowcast=".venv/bin/python -m nowcastlib"
data=data/radar
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

ingest() { $nowcast ingest --source archive --path "$archive" "$@"; }
ingest --product mch --start 2015-05-15 --end 2015-05-16 --out $data/mch2015.zarr
ingest --product mch --start 2017-01-01 --end 2017-02-01 --out $data/mch2017.zarr
ingest --product fmi --start 2017-05-09 --end 2017-05-10 --out $data/fmi.zarr
ingest --product knmi --start 2010-08-26 --end 2010-08-27 --out $data/knmi.zarr
ingest --product bom --start 2018-06-16 --end 2018-06-17 --regrid 256 --out $data/bom.zarr
part() { # arguments: NUMBER, then the rectangle X Y WIDTH HEIGHT in px
    $nowcast ingest --source cloud --path "$mrms" --every 2 --crop $2 $3 $4 $5 \
        --out $data/mrms$1.zarr
}
part 1 3700 200 1800 1700
part 2 4100 1900 1500 1500
part 3 1500 0 2200 1000
part 4 1700 2250 1700 800 # validation loss only; no choice depends on it
$nowcast ingest --source demo --events 40 --pixels 256 --out $data/synthetic.zarr

train() { # arguments: RUN EPOCHS STORES, then further options; it starts with the weights of $start
    local run=$data/$1 epochs=$2 stores from=()
    read -ra stores <<<"$3"
    shift 3
    if [ "${start:-}" ]; then from=(--start $start); fi
    if [ -e $run/last.pt ]; then from=(--resume); fi
    $nowcast train --data "${stores[@]/%/.zarr}" --validation $data/mrms4.zarr \
        --out $run "${from[@]}" \
        --config.model.kind guided --config.model.hidden 32 32 --config.model.kernel 5 3 \
        --config.model.patch 4 --config.model.norm layer --config.n-out 12 --config.crop 160 \
        --config.strides 1 2 --config.vary 0.3 --config.epochs $epochs --config.batch 2 \
        --config.loss exceedance --config.weight-decay 1e-4 \
        --config.warmup 0.05 --config.keep last --config.precision bf16 "$@"
}
mrms_parts="$data/mrms1 $data/mrms2 $data/mrms3"
events=(mch2015 mch2017 fmi knmi bom)
finetune=(--config.lr 5e-4)
oversample=(--config.min-windows 1000) # a store of one window yields 1,000 squares

train pretrained 16 "$mrms_parts $data/synthetic"
for fold in "${events[@]}"; do
    others=("${events[@]/$fold/}")
    start=$data/pretrained train fold_$fold 5 "$(printf "$data/%s " ${others[*]}) $mrms_parts" \
        "${oversample[@]}" "${finetune[@]}"
done
start=$data/pretrained train final 5 "${events[*]/#/$data/} $mrms_parts" \
    "${oversample[@]}" "${finetune[@]}"
mkdir -p nowcastlib/weights/radar
cp $data/final/{model.safetensors,config.json,history.csv} nowcastlib/weights/radar/

# The ablation: 500 steps each, without the MeteoSwiss event of 2015
others="$data/mch2017 $data/fmi $data/knmi $data/bom $mrms_parts"
train full_pretrained 3 "$mrms_parts $data/synthetic"
start=$data/full_pretrained train full 2 "$others" "${finetune[@]}"
train no_pretraining 5 "$others"
train no_motion_pretrained 3 "$mrms_parts $data/synthetic" --config.model.no-motion
start=$data/no_motion_pretrained train no_motion 2 "$others" --config.model.no-motion \
    "${finetune[@]}"
train no_balance_pretrained 3 "$mrms_parts $data/synthetic" --config.loss exceedance_unbalanced
start=$data/no_balance_pretrained train no_balance 2 "$others" --config.loss exceedance_unbalanced \
    "${finetune[@]}"

.venv/bin/python benchmarks/radar_folds.py
.venv/bin/python - $data/mch2015.zarr docs/forecast.gif <<'PYTHON'
import sys

from nowcastlib.data import grid, open_frames
from nowcastlib.display import plots
from nowcastlib.forecasting import forecast, forecaster

frames = grid.centre(open_frames(sys.argv[1]), 256)
# This fold's network was trained without the event that is shown.
names = {"radar": "data/radar/fold_mch2015", "S-PROG": "sprog"}
forecasts = {
    label: forecast(forecaster(name), frames, "2015-05-15T17:00", 12)
    for label, name in names.items()
}
observed = frames.sel(time=forecasts["radar"].valid_time.values)
plots.save_animation({"observed": observed} | forecasts, sys.argv[2])
PYTHON
