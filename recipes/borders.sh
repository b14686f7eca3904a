#!/usr/bin/env bash
# How nowcastlib/display/borders.xz was made: the coastlines and borders of Natural Earth (1:10m, public domain), thinned.
#   bash recipes/borders.sh      (needs npm; run from the repository's root)
set -euo pipefail
folder=$(mktemp -d)
(cd "$folder" && npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz)

.venv/bin/python - "$folder/package/countries-10m.json" nowcastlib/display/borders.xz <<'PYTHON'
import json
import lzma
import sys

import cv2
import numpy as np

TOLERANCE = 0.01  # degrees of latitude, about 1 km
with open(sys.argv[1]) as file:
    world = json.load(file)
scale, origin = (np.array(world["transform"][k]) for k in ("scale", "translate"))
lines = []
for arc in world["arcs"]:  # an arc is a piece of a coast, or of the border that two countries share
    points = np.cumsum(arc, axis=0) * scale + origin
    real = np.abs(points[:, 0]) < 179.99  # countries are cut along 180°, where there is no border
    for part in np.split(points, np.flatnonzero(np.diff(real)) + 1):
        if len(part) < 2 or abs(part[0, 0]) >= 179.99:
            continue
        shrunk = [np.cos(np.radians(np.clip(part[:, 1].mean(), -75, 75))), 1]
        thin = cv2.approxPolyDP((part * shrunk).astype("f4")[:, None], TOLERANCE, False)[:, 0]
        if np.ptp(thin, axis=0).max() > 2 * TOLERANCE:
            lines += [np.rint(thin / shrunk * (32767 / 180)), [[-32768, -32768]]]  # the latter ends the line
steps = np.diff(np.concatenate(lines).astype("i2"), axis=0, prepend=np.zeros((1, 2), "i2"))  # they wrap around
with lzma.open(sys.argv[2], "wb", preset=9) as file:
    np.save(file, steps.T)
print(f"{len(lines) // 2} lines, {len(steps)} points")
PYTHON
rm -r "$folder"
