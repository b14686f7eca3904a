#!/usr/bin/env bash
# Trains networks of the kind of `radar` that leave out whole services or blocks of days, and scores
# them there; then one on all stores. About an hour and a half of one CPU core (bf16), 6 GB of memory.
# The shipped weights `radar` come from a GPU: docs/radar.md.
#   bash recipes/radar.sh ARCHIVE MRMS [MORE]      (run from the root of the repository)
# ARCHIVE is the folder of the pysteps example archive. MRMS is a CF-Zarr store of its MRMS frames
# of 10 June 2019 (rain rate of the contiguous United States, 0.01 degrees, every two minutes). MORE
# is a folder of further CF-Zarr stores of rain; benchmarks/radar_events.py says which of them
# belong together, and which are kept for the end.
# After an interruption, run it again: it resumes.
set -euo pipefail
archive=${1:?name the folder of the pysteps example archive} mrms=${2:?name a CF-Zarr of MRMS}
more=${3:-}
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
part 4 1700 2250 1700 800
$nowcast ingest --source demo --events 40 --pixels 256 --out $data/synthetic.zarr

folders=($data ${more:+"$more"})
steps=${STEPS:-100} # of an epoch

train() { # arguments: RUN EPOCHS NETWORK, then further options; NETWORK "" leaves no fold out
    local run=$data/$1 epochs=$2 stores resume=()
    mapfile -t stores < <(.venv/bin/python benchmarks/radar_events.py "${folders[@]}" --network "$3")
    shift 3
    if [ -e $run/last.pt ]; then resume=(--resume); fi
    $nowcast train --data "${stores[@]}" --validation $data/mrms4.zarr \
        --out $run "${resume[@]}" \
        --config.model.kind guided --config.model.hidden 32 32 --config.model.kernel 5 3 \
        --config.model.patch 4 --config.model.norm layer --config.n-out 12 --config.crop 160 \
        --config.vary 0.3 --config.min-windows 1000 --config.epochs $epochs \
        --config.steps $steps --config.batch 2 --config.loss exceedance \
        --config.weight-decay 1e-4 --config.warmup 0.05 --config.keep last \
        --config.precision bf16 "$@"
}

# The networks of the folds; see benchmarks/radar_events.py
# The published networks had so many epochs; "b" and "c" were trained on half of the steps to save time.
train group_a 6 a
train group_b 3 b
train group_c 3 c
.venv/bin/python benchmarks/radar_folds.py "${folders[@]}"

# A network for use, trained on all stores but those of the last block
train final 20 ""
