// Forecast against observation: colours of pixels, scores, and the outline of the observed rain.

import { NOT_KNOWN } from "./sequences.js";

export function rgba(colour) {
  const n = parseInt(colour.slice(1), 16);
  const [red, green, blue] = [n >> 16, (n >> 8) & 255, n & 255];
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // in memory: r, g, b, a
}

// Colours of all pairs of levels, at 256 * forecast + observed. An unknown forecast counts as dry.
function pairColours(colour) {
  return Uint32Array.from({ length: 65536 }, (_, pair) => {
    const [forecast, observed] = [pair >> 8, pair & 255];
    return rgba(colour(forecast === NOT_KNOWN ? 0 : forecast, observed));
  });
}

// Classes of forecast − observed; `edges` in mm/h.
export function errorColours({ bar, swatches }, { values, errors }) {
  return pairColours((forecast, observed) => {
    if (observed === NOT_KNOWN) return swatches[0][0];
    const error = values[forecast] - values[observed];
    const above = errors.filter((edge) => error > edge).length;
    return bar[above][0];
  });
}

// Hits, misses, false alarms and dry pixels at a threshold, in the order of the legend's swatches.
export function eventColours({ swatches }, threshold) {
  const [hit, miss, falseAlarm, dry, unknown] = swatches.map(([colour]) => colour);
  return pairColours((forecast, observed) => {
    if (observed === NOT_KNOWN) return unknown;
    if (observed > threshold) return forecast > threshold ? hit : miss;
    return forecast > threshold ? falseAlarm : dry;
  });
}

// CSI, POD, FAR, hits, misses and false alarms, counted as verification.count does.
// A score that is not defined is NaN.
export function scores(forecast, observed, threshold) {
  let hits = 0;
  let misses = 0;
  let alarms = 0;
  for (let i = 0; i < observed.length; i++) {
    if (observed[i] === NOT_KNOWN) continue;
    const rain = forecast[i] > threshold && forecast[i] !== NOT_KNOWN;
    if (observed[i] > threshold) rain ? hits++ : misses++;
    else if (rain) alarms++;
  }
  const csi = hits / (hits + misses + alarms);
  const pod = hits / (hits + misses);
  const far = alarms / (hits + alarms);
  return [csi, pod, far, hits, misses, alarms];
}

// Edges between pixels above the threshold and others, as the path of an SVG.
export function outline(levels, threshold, height, width) {
  const inside = (level) => level > threshold && level < NOT_KNOWN;
  const across = (y, x) => inside(levels[(y - 1) * width + x]) !== inside(levels[y * width + x]);
  const beside = (x, y) => inside(levels[y * width + x - 1]) !== inside(levels[y * width + x]);
  return [
    ...edges(height, width, across, (y, start, end) => `M${start} ${y}H${end}`),
    ...edges(width, height, beside, (x, start, end) => `M${x} ${start}V${end}`),
  ].join("");
}

// Runs of edges along each line between two rows (or columns) of pixels.
function edges(lines, length, isEdge, draw) {
  const runs = [];
  for (let line = 1; line < lines; line++) {
    let start = -1;
    for (let along = 0; along <= length; along++) {
      const edge = along < length && isEdge(line, along);
      if (edge && start < 0) start = along;
      if (!edge && start >= 0) {
        runs.push(draw(line, start, along));
        start = -1;
      }
    }
  }
  return runs;
}
