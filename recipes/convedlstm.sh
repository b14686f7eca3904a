#!/usr/bin/env bash
# Trains the shipped weights `convedlstm` and scores them; about 45 minutes on one CPU core.
#   bash recipes/convedlstm.sh FOLDER      (run from the root of the repository)
# FOLDER holds the pysteps example archive. The MeteoSwiss event of 15 May 2015 is used for the
# scores only, neither for training nor for validation. After an interruption, run it again: it
# resumes.
set -euo pipefail
archive=${1:?name the folder of the pysteps example archive}
nowcast=".venv/bin/python -m nowcastlib"
data=data/convedlstm
run=$data/run

ingest() { $nowcast ingest --source archive --path "$archive" "$@"; }
ingest --product mch --start 2015-05-15 --end 2015-05-16 --out $data/mch2015.zarr
ingest --product mch --start 2017-01-01 --end 2017-02-01 --out $data/mch2017.zarr
ingest --product fmi --start 2017-05-09 --end 2017-05-10 --out $data/fmi.zarr
ingest --product knmi --start 2010-08-26 --end 2010-08-27 --out $data/knmi.zarr
ingest --product bom --start 2018-06-16 --end 2018-06-17 --out $data/bom.zarr
$nowcast ingest --source demo --events 40 --pixels 256 --out $data/synthetic.zarr

if [ -e $run/last.pt ]; then resume=--resume; else resume=; fi
$nowcast train --data $data/{mch2017,fmi,bom,synthetic}.zarr --validation $data/knmi.zarr \
    --out $run $resume \
    --config.n-out 12 --config.curriculum 2 6 12 --config.epochs 12 --config.steps 100 \
    --config.precision bf16 --config.sampling 0.5
mkdir -p nowcastlib/weights/convedlstm docs/results
cp $run/{model.safetensors,config.json,history.csv} nowcastlib/weights/convedlstm/

all=convedlstm,persistence,extrapolation,proesmans,sprog,anvil,steps
$nowcast evaluate --data $data/mch2015.zarr --forecasters $all --json docs/results/mch-20150515.json
$nowcast evaluate --data $data/mch2015.zarr --forecasters $all --margin 64 \
    --json docs/results/mch-20150515-inner.json
