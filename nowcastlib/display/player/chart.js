// A chart of rain rates over the minutes of the frames.

import { svg } from "./elements.js";

const HEIGHT = 150;
const MARGIN = { left: 44, right: 12, top: 10, bottom: 34 };

// Draws curves {colour, values, first, range} into an SVG element. `values` and both ends of
// `range` hold a rain rate for every frame (NaN: not known); a curve starts at frame `first`.
// `axis` is {minutes, ticks, axis}; ticks are aligned to the frame `zero`.
export function drawChart(picture, curves, axis, zero, frame) {
  const width = picture.clientWidth || 640;
  const scale = chartScale(width, highest(curves), axis.minutes);
  const now = { class: "nowcast-now", d: `M${scale.x(frame)} ${MARGIN.top}V${scale.bottom}` };
  picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  picture.replaceChildren(
    ...rateAxis(scale),
    ...timeAxis(scale, axis, zero),
    svg("path", now),
    ...curves.flatMap((curve) => drawCurve(curve, scale, frame))
  );
}

const known = (values) => values.filter((value) => !Number.isNaN(value));

function highest(curves) {
  const rates = curves.flatMap(({ values, range }) => known([...values, ...(range?.[1] ?? [])]));
  return Math.max(0.1, ...rates);
}

// Functions from frames and rates to px, and the rates of the grid lines.
function chartScale(width, most, minutes) {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].find((n) => n * power * 4 >= most * 0.999) * power;
  const top = Math.ceil(most / step - 0.001) * step;
  const rates = Array.from({ length: Math.round(top / step) + 1 }, (_, n) => n * step);

  const [right, bottom] = [width - MARGIN.right, HEIGHT - MARGIN.bottom];
  const span = minutes[minutes.length - 1] - minutes[0] || 1;
  const x = (f) => MARGIN.left + ((right - MARGIN.left) * (minutes[f] - minutes[0])) / span;
  const y = (rate) => bottom - ((bottom - MARGIN.top) * rate) / top;
  return { x, y, rates, right, bottom, width };
}

function text(x, y, words, anchor = "middle") {
  return svg("text", { x, y, "text-anchor": anchor }, [words]);
}

function rateAxis({ y, rates, right, bottom }) {
  const lines = rates.flatMap((rate) => [
    svg("path", { class: "nowcast-grid", d: `M${MARGIN.left} ${y(rate)}H${right}` }),
    text(MARGIN.left - 6, y(rate) + 4, `${+rate.toPrecision(3)}`, "end"),
  ]);
  const turn = `translate(11 ${(bottom + MARGIN.top) / 2}) rotate(-90)`;
  return [...lines, svg("text", { transform: turn, "text-anchor": "middle" }, ["mm/h"])];
}

function timeAxis({ x, right, bottom, width }, { minutes, ticks, axis }, zero) {
  const room = Math.max(2, Math.floor((width - MARGIN.left) / 52)); // ticks that fit
  const every = Math.ceil(minutes.length / room);
  const shown = [...ticks.keys()].filter((f) => (f - zero) % every === 0);
  return [
    ...shown.map((f) => text(x(f), bottom + 15, ticks[f])),
    text((MARGIN.left + right) / 2, HEIGHT - 4, axis),
  ];
}

function drawCurve({ colour, values, first, range }, { x, y }, frame) {
  const frames = [...values.keys()].slice(first);
  const parts = [];
  if (range) {
    const [low, high] = range;
    const inside = frames.filter((f) => !Number.isNaN(low[f] + high[f]));
    const ends = [...inside.map((f) => [f, low[f]]), ...inside.reverse().map((f) => [f, high[f]])];
    const points = ends.map(([f, rate]) => `${x(f)},${y(rate)}`).join(" ");
    parts.push(svg("polygon", { fill: colour, opacity: 0.2, points }));
  }

  let pen = "M";
  const line = frames.map((f) => {
    const piece = Number.isNaN(values[f]) ? "" : `${pen}${x(f)} ${y(values[f])}`;
    pen = piece ? "L" : "M"; // an unknown value leaves a gap
    return piece;
  });
  parts.push(svg("path", { class: "nowcast-curve", stroke: colour, d: line.join("") }));

  if (frame >= first && !Number.isNaN(values[frame])) {
    const point = { fill: colour, r: 3.5, cx: x(frame), cy: y(values[frame]) };
    parts.push(svg("circle", point));
  }
  return parts;
}
