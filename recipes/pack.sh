#!/usr/bin/env bash
# Makes the folder that recipes/gpu.sh needs on a machine without a network: this library, the
# packages that such a machine lacks, and stores of rain, each pixel in one byte.
#   bash recipes/pack.sh OUT STORE... [-- TEST_STORE...]   (run from the root of the repository)
# Networks train on STORE... and are scored on TEST_STORE... . Synthetic storms are added to the
# former: STORMS events of 256 px (40). PYTHON_VERSION is that of the other machine, such as 3.12; by
# default it is that of this one. The folder must stay below 60 MB.
set -euo pipefail
out=${1:?name the folder to make} && shift
python=${PYTHON:-.venv/bin/python}
version=${PYTHON_VERSION:-$($python -c 'import sys; print("%d.%d" % sys.version_info[:2])')}
mkdir -p "$out/train" "$out/test"

packages="zarr numcodecs donfig google-crc32c mlxtend tyro docstring-parser typeguard lazy-loader"
rm -rf "$out/packages" "$out/nowcastlib" "$out/recipes" "$out/benchmarks"
$python -m pip download --quiet --no-deps --only-binary :all: --python-version "$version" \
    --platform manylinux2014_x86_64 --platform manylinux_2_28_x86_64 --platform any \
    --dest "$out/packages" $packages
cp -r nowcastlib recipes benchmarks "$out/"
rm -r "$out/nowcastlib/weights"
find "$out" -name __pycache__ -type d -prune -exec rm -r {} +

storms=$(mktemp -d)
if [ "${STORMS:-40}" != 0 ]; then
    $python -m nowcastlib ingest --source demo --events "${STORMS:-40}" --pixels 256 \
        --out "$storms/storms.zarr"
    set -- "$storms/storms.zarr" "$@"
fi
part=train
for store in "$@"; do
    if [ "$store" = -- ]; then part=test; continue; fi
    $python recipes/packed_stores.py pack "$out/$part" "$store"
done
rm -r "$storms"

size=$(du -sm "$out" | cut -f 1)
echo "$out: $size MB"
if [ "$size" -gt 60 ]; then
    echo "more than 60 MB: name fewer stores" >&2
    exit 1
fi
