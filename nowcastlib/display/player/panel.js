// A panel: a picture with its title, overlays and scores.

import { rgba } from "./comparison.js";
import { svg, swatch, tag } from "./elements.js";

const SCORES = ["CSI", "POD", "FAR", "hits", "misses", "false alarms"];

export class Panel {
  // `panel` is a Panel of scene.py; `borders` the path of an SVG, `places` those of its Map
  constructor(panel, [height, width], { borders, places }, marked) {
    this.name = panel.title;
    this.sequences = panel.sequences;
    this.quantiles = panel.quantiles;
    this.by = panel.by;
    this.isShare = panel.is_share;
    this.colour = panel.colour;
    this.width = width;
    this.palette = Uint32Array.from(panel.palette, rgba);
    this.image = new ImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);

    this.canvas = tag("canvas", { width, height, role: "img" });
    this.context = this.canvas.getContext("2d");
    this.handle = tag("div", { className: "nowcast-handle" });
    this.map = this.overlay([height, width], borders);
    this.bar = tag("div", { className: "nowcast-scale", hidden: true });
    this.places = places.map(([name, x, y]) => ({ at: [x, y], element: placeMark(name) }));
    const marks = this.places.map(({ element }) => element);
    const parts = [this.canvas, this.map, ...marks, this.bar, this.handle];
    this.picture = tag("div", { className: "nowcast-picture" }, parts);

    this.title = tag("span");
    const mark = marked ? [swatch(this.colour, "nowcast-mark")] : [];
    const caption = tag("figcaption", {}, [...mark, this.title]);
    this.scores = tag("div", { className: "nowcast-scores" });
    this.figure = tag("figure", {}, [caption, this.picture, this.scores]);
  }

  overlay([height, width], borders) {
    const path = (name) => svg("path", { class: name });
    this.outlines = [path("nowcast-casing"), path("nowcast-outline")];
    this.crosses = [path("nowcast-casing"), path("nowcast-cross")];
    const map = svg("path", { class: "nowcast-borders", d: borders });
    const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none" };
    const children = [map, ...this.outlines, ...this.crosses];
    return svg("svg", { ...box, "aria-hidden": true }, children);
  }

  // Number of the sequence for an option; a panel may have one sequence for all options.
  sequence(option) {
    return this.sequences[Math.min(option, this.sequences.length - 1)];
  }

  setTitle(title, label) {
    this.title.textContent = title;
    this.canvas.setAttribute("aria-label", `${title}, ${label}`);
  }

  // Left of column `split` the observation, right of it the forecast: in the palette's colours,
  // or, with `pairs`, in the colours of both together.
  paint(forecast, observed, pairs, split) {
    const { pixels, palette, width } = this;
    for (let i = 0, x = 0; i < pixels.length; i++) {
      if (x < split) pixels[i] = palette[observed[i]];
      else pixels[i] = pairs ? pairs[(forecast[i] << 8) | observed[i]] : palette[forecast[i]];
      if (++x === width) x = 0;
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // Shows the window of a zoom; `bar` is {km, share} of the scale bar, or null.
  setWindow(zoom, bar) {
    const [x, y] = zoom.corner;
    const [across, down] = zoom.size.map((n, k) => (100 * zoom.corner[k]) / n);
    this.canvas.style.transform = `scale(${zoom.scale}) translate(${-across}%, ${-down}%)`;
    this.map.setAttribute("viewBox", [x, y, ...zoom.window].join(" "));
    this.picture.classList.toggle("nowcast-zoomed", zoom.isZoomed);

    placeMarks(this.places, zoom);

    this.bar.hidden = bar === null;
    if (!bar) return;
    this.bar.textContent = `${bar.km} km`;
    this.bar.style.width = `${100 * bar.share}%`;
  }

  setOutline(path) {
    this.outlines.forEach((line) => line.setAttribute("d", path));
  }

  setCross(path) {
    this.crosses.forEach((line) => line.setAttribute("d", path));
  }

  // A note, and the numbers of comparison.scores, if there are any.
  setScores(note, numbers) {
    const cells = numbers.map((number, k) => {
      const text = Number.isNaN(number) ? "–" : k < 3 ? number.toFixed(2) : `${number}`;
      const name = tag("small", { textContent: SCORES[k] });
      return tag("span", {}, [name, tag("b", { textContent: text })]);
    });
    this.scores.replaceChildren(tag("small", { textContent: note }), ...cells);
  }
}

// A dot with a name, on a place of the map.
function placeMark(name) {
  return tag("div", { className: "nowcast-place" }, [tag("span", { textContent: name })]);
}

// Puts the marks on their places in the window of a zoom.
function placeMarks(places, zoom) {
  const share = (v, k) => (v + 0.5 - zoom.corner[k]) / zoom.window[k];
  const shares = places.map(({ at }) => at.map(share));
  places.forEach(({ element }, k) => {
    const [across, down] = shares[k];
    element.hidden = Math.min(across, down) < 0 || Math.max(across, down) > 1;
    element.style.left = `${100 * across}%`;
    element.style.top = `${100 * down}%`;
    element.classList.toggle("nowcast-place-left", namedOnTheLeft(across, shares));
    element.classList.toggle("nowcast-place-below", down < 0.15);
  });
}

// The name stands away from the other places, and near an edge towards the middle.
function namedOnTheLeft(across, shares) {
  if (shares.length === 1 || across < 0.25 || across > 0.75) return across > 0.5;
  return across < shares.reduce((sum, [x]) => sum + x, 0) / shares.length;
}
