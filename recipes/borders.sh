#!/usr/bin/env bash
# Makes nowcastlib/display/borders.xz: simplified coastlines and borders of Natural Earth
# (1:10m, public domain).
#   bash recipes/borders.sh      (needs npm; run from the root of the repository)
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
for arc in world["arcs"]:  # an arc is a piece of coastline, or of a border between two countries
    points = np.cumsum(arc, axis=0) * scale + origin
    # Natural Earth cuts countries along the meridian of 180°, where there is no real border.
    real = np.abs(points[:, 0]) < 179.99
    for part in np.split(points, np.flatnonzero(np.diff(real)) + 1):
        if len(part) < 2 or abs(part[0, 0]) >= 179.99:
            continue

        # Simplify where a degree of longitude is as long as a degree of latitude.
        stretch = [np.cos(np.radians(np.clip(part[:, 1].mean(), -75, 75))), 1]
        line = cv2.approxPolyDP((part * stretch).astype("f4")[:, None], TOLERANCE, False)[:, 0]

        # Store degrees as 16-bit integers; the point (-32768, -32768) ends a line.
        if np.ptp(line, axis=0).max() > 2 * TOLERANCE:
            lines += [np.rint(line / stretch * (32767 / 180)), [[-32768, -32768]]]

# Differences between points compress better; in 16 bits they may wrap around.
steps = np.diff(np.concatenate(lines).astype("i2"), axis=0, prepend=np.zeros((1, 2), "i2"))
with lzma.open(sys.argv[2], "wb", preset=9) as file:
    np.save(file, steps.T)
print(f"{len(lines) // 2} lines, {len(steps)} points")
PYTHON
rm -r "$folder"
