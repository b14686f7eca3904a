#!/usr/bin/env bash
# Trains the shipped weights `convedlstm` and scores them; half an hour on one CPU core
# (bf16).
#   bash recipes/convedlstm.sh ARCHIVE STORES      (run from the root of the repository)
# ARCHIVE is the folder of the pysteps example archive. STORES is a folder of CF-Zarr stores of rain
# rate at 1 km, every 5 or 10 minutes: dpc_*.zarr (Italian Civil Protection, February to April 2025),
# knmi_nl_*.zarr (Netherlands, January and February 2021) and mrms_*.zarr (United States).
# Neither trained nor validated on: MeteoSwiss, 15 May 2015; Italy, 15 to 17 March 2025; the
# Netherlands, 2 to 7 February 2021; the synthetic rain of the course (seed 1). After an
# interruption, run it again: it resumes.
set -euo pipefail
archive=${1:?name the folder of the pysteps example archive} stores=${2:?name a folder of stores}
nowcast=".venv/bin/python -m nowcastlib"
data=data/convedlstm
run=$data/run
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

ingest() { $nowcast ingest --source archive --path "$archive" "$@"; }
ingest --product mch --start 2015-05-15 --end 2015-05-16 --out $data/test_mch2015.zarr
ingest --product mch --start 2017-01-01 --end 2017-02-01 --out $data/mch2017.zarr
ingest --product fmi --start 2017-05-09 --end 2017-05-10 --out $data/fmi.zarr
ingest --product knmi --start 2010-08-26 --end 2010-08-27 --out $data/knmi2010.zarr
ingest --product bom --start 2018-06-16 --end 2018-06-17 --regrid 256 --out $data/bom.zarr
$nowcast ingest --source demo --events 40 --pixels 128 --out $data/synthetic.zarr # seed 0
# The storms of the course (seed 1) are for the scores.
NOWCAST_SOURCE=demo NOWCAST_PRESET=laptop NOWCAST_DATA=$data/course .venv/bin/python -c \
    "from nowcastlib import course; course.frames()"

shopt -s nullglob
train=($data/{mch2017,fmi,bom,knmi2010}.zarr)
for store in "$stores"/{dpc_,knmi_nl_202101,mrms_}*.zarr; do
    case $store in
        *_nitaly_2025031[567]*) ;; # for the scores
        *_nitaly_20250211*) ;;     # for validation, which decides nothing: the last weights are kept
        *_nitaly_20250309*) ;;     # has no 18 frames in a row
        *) train+=("$store") ;;
    esac
done
# Each store has the same weight in training: the synthetic rain stands for eight of them.
for _ in 1 2 3 4 5 6 7 8; do train+=($data/synthetic.zarr); done
validation=("$stores"/dpc_nitaly_20250211*.zarr)

if [ -e $run/last.pt ]; then resume=--resume; else resume=; fi
$nowcast train --data "${train[@]}" --validation "${validation[@]}" --out $run $resume \
    --config.model.hidden 32 48 48 32 --config.model.kernel 3 3 3 3 --config.model.patch 4 \
    --config.model.norm layer --config.model.compare 8 --config.model.move 8 --config.n-out 12 \
    --config.curriculum 1 2 4 6 8 10 12 12 12 12 12 12 --config.sampling 0.5 --config.crop 128 \
    --config.vary 0.3 --config.epochs 12 --config.steps 140 --config.batch 4 --config.lr 2e-3 \
    --config.warmup 0.03 --config.keep last --config.precision bf16

mkdir -p nowcastlib/weights/convedlstm docs/results
cp $run/{model.safetensors,config.json,history.csv} nowcastlib/weights/convedlstm/

together() { # stores with commas between
    local IFS=,
    echo "$*"
}
out=docs/results/convedlstm.csv
rm -f $out
.venv/bin/python benchmarks/held_out.py $out convedlstm,persistence,extrapolation --every 6 \
    "synthetic storms of the course=$data/course/laptop-demo/frames.zarr" \
    "Switzerland, 15 May 2015=$data/test_mch2015.zarr" \
    "Italy, 15–17 March 2025=$(together "$stores"/dpc_nitaly_2025031[567]*.zarr)" \
    "Netherlands, 2–7 February 2021=$(together "$stores"/knmi_nl_202102*.zarr)"
