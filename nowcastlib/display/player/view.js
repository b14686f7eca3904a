// A view of the player: everything that one output cell, or one place in a page, shows.

import { drawChart } from "./chart.js";
import { errorColours, eventColours, outline, scores } from "./comparison.js";
import { controls, keyHelp, onKey } from "./controls.js";
import { svg, swatch, tag } from "./elements.js";
import { legendElement } from "./legend.js";
import { borderPath, place, scaleBar } from "./map.js";
import { Panel } from "./panel.js";
import { Pointer, listenToHandle } from "./pointer.js";
import { MOST, NOT_KNOWN } from "./sequences.js";
import { Zoom, listenToZoom } from "./zoom.js";

// Numbers of the options, in the order of LAYOUTS and VIEWS in forecast_player.py
const [ALL, ONE_BESIDE, SWIPE] = [0, 1, 2];
const [OUTLINE, ERROR, EVENTS] = [1, 2, 3];
const SHARES = Array.from({ length: MOST + 1 }, (_, shade) => shade / MOST);

export class View {
  constructor(model, el, sequences) {
    this.model = model;
    this.el = el;
    this.scene = model.get("scene");
    this.sequences = sequences;
    [this.height, this.width] = this.scene.size;
    this.last = this.scene.labels.length - 1;
    this.comparing = this.scene.comparing;
    this.cache = new Map(); // colours and outlines that were made before
    this.build();
  }

  get(name) {
    return this.model.get(name);
  }

  set(name, value) {
    this.model.set(name, value);
    this.model.save_changes();
  }

  get frame() {
    return Math.max(0, Math.min(this.get("frame"), this.last));
  }

  step(by) {
    this.set("frame", (this.frame + by + this.last + 1) % (this.last + 1));
  }

  once(key, make) {
    if (!this.cache.has(key)) this.cache.set(key, make());
    return this.cache.get(key);
  }

  build() {
    const { scene } = this;
    this.label = tag("div", { className: "nowcast-label", role: "status" });
    this.zoom = new Zoom(scene.size, () => this.drawWindow());
    this.controls = controls(this);
    this.pointer = new Pointer(scene.size, () => this.describe());
    this.swipe = this.buildSwipe();
    this.panels = this.buildPanels();
    const figures = this.panels.map(({ figure }) => figure);
    this.grid = tag("div", { className: "nowcast-panels" }, figures);
    this.legends = scene.legends.map(legendElement);
    this.words = tag("div", { className: "nowcast-words" });
    this.chart = svg("svg", { class: "nowcast-chart", role: "img" });

    const help = keyHelp(scene, this.zoom);
    const properties = {
      className: "nowcast-player",
      tabIndex: 0,
      role: "group",
      "aria-label": `player; keys: ${help}`,
    };
    this.root = tag("div", properties, [
      this.controls.element,
      this.label,
      ...(this.comparing ? [this.swipe] : []),
      this.grid,
      ...this.legends,
      ...(scene.rain ? [this.words, this.chart] : []),
      tag("div", { className: "nowcast-keys", textContent: `Keys: ${help}` }),
      tag("div", { className: "nowcast-credit", textContent: this.credits() }),
    ]);
    // JupyterLab's shortcuts are for the element that has the focus, whatever is around it.
    [this.root, ...this.root.querySelectorAll("button, input, select")].forEach((element) => {
      element.setAttribute("data-lm-suppress-shortcuts", "true");
    });
    this.root.onkeydown = (event) => onKey(this, event);
    this.el.append(this.root);
  }

  buildSwipe() {
    const name = "swipe: share of the picture that is observed";
    const range = { type: "range", min: 0, max: 100, value: 50 };
    const swipe = tag("input", { ...range, className: "nowcast-swipe", "aria-label": name });
    swipe.oninput = () => this.draw();
    return swipe;
  }

  buildPanels() {
    const { scene } = this;
    const borders = borderPath(scene.map?.borders ?? []);
    const map = { borders, places: scene.map?.places ?? [] };
    return scene.panels.map((data) => {
      const panel = new Panel(data, scene.size, map, this.isMarked(data));
      if (scene.rain) this.pointer.listen(panel.picture, this.zoom);
      listenToZoom(panel.picture, this.zoom, () => this.root.contains(document.activeElement));
      listenToHandle(panel.handle, panel.picture, (share) => {
        this.swipe.value = share;
        this.draw();
      });
      return panel;
    });
  }

  // A panel has the colour of its line in the chart, if there are several lines.
  isMarked({ is_share: isShare }) {
    return this.scene.chart !== null && this.scene.panels.length > 1 && !isShare;
  }

  credits() {
    const { credit, map } = this.scene;
    const texts = [credit, map?.borders.length ? "borders: Natural Earth" : ""];
    return texts.filter(Boolean).join(" · ");
  }

  // Everything that depends on the state.
  draw() {
    const [choice, view, arrangement] = ["choice", "view", "arrangement"].map((n) => this.get(n));
    const [rate, level] = this.scene.rain?.thresholds[this.get("threshold")] ?? [0, 0];
    const { frame } = this;
    const observed = this.sequences.frame(0, frame);
    const state = { frame, choice, view, arrangement, rate, level, observed };

    this.controls.update();
    this.label.textContent = this.scene.labels[frame];
    this.label.setAttribute("aria-live", this.get("playing") ? "off" : "polite");
    this.panels.forEach((panel, k) => this.drawPanel(panel, k, state));
    this.swipe.hidden = arrangement !== SWIPE;
    this.legends.forEach((legend, k) => {
      legend.hidden = (this.scene.legends[k].view ?? view) !== view;
    });
    if (this.scene.rain) this.describe();
  }

  drawPanel(panel, k, state) {
    const { frame, choice, view, arrangement, level, observed } = state;
    const chosen = k === choice + 1;
    const several = this.comparing && this.panels.length > 2;
    panel.figure.hidden =
      arrangement === ALL ? false : !(chosen || (k === 0 && arrangement === ONE_BESIDE));
    panel.figure.classList.toggle("nowcast-chosen", several && chosen && arrangement === ALL);
    if (panel.figure.hidden) return;

    const swiping = arrangement === SWIPE;
    panel.setTitle(swiping ? `observed | ${panel.name}` : panel.name, this.label.textContent);
    panel.handle.hidden = !swiping;
    panel.handle.style.left = `${this.swipe.value}%`;

    const forecast = this.sequences.frame(this.sequenceOf(panel), frame);
    const isForecast = this.comparing && k > 0 && frame >= this.scene.past;
    const split = swiping ? Math.round(this.zoom.at([this.swipe.value / 100, 0])[0]) : 0;
    panel.paint(forecast, observed, isForecast ? this.pairColours(view, level) : null, split);
    panel.setOutline(view === OUTLINE ? this.outline(frame, level) : "");
    if (this.comparing) this.drawScores(panel, k, isForecast ? forecast : null, state);
  }

  sequenceOf(panel) {
    return panel.sequence(this.get(panel.by));
  }

  pairColours(view, level) {
    const { legends, rain } = this.scene;
    if (view === ERROR) return this.once("error", () => errorColours(legends[ERROR], rain));
    if (view !== EVENTS) return null;
    return this.once(`events ${level}`, () => eventColours(legends[EVENTS], level));
  }

  outline(frame, level) {
    const observed = this.sequences.frame(0, frame);
    const make = () => outline(observed, level, this.height, this.width);
    return this.once(`outline ${frame} ${level}`, make);
  }

  drawScores(panel, k, forecast, { rate, level, observed }) {
    if (k === 0) return panel.setScores("", []);
    const seen = observed.some((value) => value !== NOT_KNOWN);
    if (forecast && seen) {
      return panel.setScores(`rain > ${rate} mm/h`, scores(forecast, observed, level));
    }
    const why = seen ? "from the first forecast on" : "no observation to compare with";
    panel.setScores(`rain > ${rate} mm/h: ${why}`, []);
  }

  // Rates at the pixel that is pointed at, or means over all pixels: in words and as a chart.
  describe() {
    const { frame, pointer, scene } = this;
    const cross = pointer.pixel ? this.crossPath(pointer.pixel) : "";
    this.panels.forEach((panel) => panel.setCross(cross));

    const curves = this.panels.map((panel, k) => this.curve(panel, k));
    const rates = this.panels.map((panel, k) => {
      const rate = curves[k].values[frame];
      const text = panel.isShare ? percent(rate) : readable(rate, pointer.pixel !== null);
      const mark = this.isMarked(this.scene.panels[k]) ? [swatch(panel.colour, "nowcast-mark")] : [];
      return tag("span", {}, [...mark, `${panel.name}: `, tag("b", { textContent: text })]);
    });
    this.words.replaceChildren(tag("span", { textContent: this.where() }), ...rates);
    this.chart.setAttribute("aria-label", `rain rate, ${this.words.textContent}`);
    const lines = curves.filter((_, k) => !this.panels[k].isShare);
    drawChart(this.chart, lines, scene.chart, Math.max(0, scene.past - 1), frame);
  }

  // Rain rates of a panel in every frame, or shares of members in 0…1.
  curve(panel, k) {
    const { pixel } = this.pointer;
    const number = this.sequenceOf(panel);
    const values = panel.isShare ? SHARES : this.scene.rain.values;
    const first = k ? Math.max(0, this.scene.past - 1) : 0;
    if (!pixel) {
      const means = this.once(`means ${number}`, () => this.sequences.means(number, values));
      return { colour: panel.colour, values: means, first, range: null };
    }
    const at = pixel[1] * this.width + pixel[0];
    const range = panel.quantiles.map((n) => this.sequences.atPixel(n, at, values));
    return {
      colour: panel.colour,
      values: this.sequences.atPixel(number, at, values),
      first,
      range: range.length ? range : null,
    };
  }

  where() {
    const { pixel } = this.pointer;
    if (!pixel) return "mean of all known pixels; point at one (click: keep)";
    const { degrees } = this.scene.map;
    const at = degrees.length ? ` · ${place(degrees, pixel, this.scene.size)}` : "";
    return `pixel ${pixel[0]}, ${pixel[1]}${at}`;
  }

  crossPath([x, y]) {
    const [across, down] = [x + 0.5, y + 0.5];
    const horizontal = `M0 ${down}H${x - 2}M${x + 3} ${down}H${this.width}`;
    return `${horizontal}M${across} 0V${y - 2}M${across} ${y + 3}V${this.height}`;
  }

  // The same part of the frame in all panels.
  drawWindow() {
    const { scene, zoom } = this;
    const bar = scene.map && scaleBar(scene.map.pixel_km, zoom.window[0]);
    this.panels.forEach((panel) => panel.setWindow(zoom, bar));
    this.sharpen();
    if (this.get("arrangement") === SWIPE) this.draw();
  }

  // Pixels that are larger than those of the screen have sharp edges.
  sharpen() {
    const shown = this.panels.find(({ figure }) => !figure.hidden);
    const shrunk = this.width > shown.picture.clientWidth * this.zoom.scale;
    this.panels.forEach(({ canvas }) => {
      canvas.style.imageRendering = shrunk ? "auto" : "pixelated";
    });
  }

  // As few rows of panels as possible, with about equally many panels each.
  fit() {
    const space = this.el.clientWidth;
    const shown = this.panels.filter(({ figure }) => !figure.hidden).length;
    const rows = Math.ceil(shown / Math.max(1, Math.floor(space / 160)));
    const columns = Math.ceil(shown / rows);
    const widest = shown === 1 ? 560 : 420;
    this.root.style.maxWidth = `${columns * widest}px`;
    this.grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;

    this.drawWindow();
    if (this.scene.rain) this.describe();
  }
}

// A share of the members as text.
function percent(share) {
  return Number.isNaN(share) ? "not known" : `${Math.round(100 * share)} %`;
}

// A rain rate as text; a mean always with its unit.
function readable(rate, atPixel) {
  if (Number.isNaN(rate)) return "not known";
  if (!atPixel) return `${rate.toFixed(2)} mm/h`;
  return rate ? `${+rate.toPrecision(2)} mm/h` : "dry";
}
