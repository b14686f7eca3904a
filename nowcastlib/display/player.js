// Draws the panels. In JupyterLab ipywidgets drive it; in a saved page, controls of its own (standalone).

const NOT_KNOWN = 255;

const tag = (name, attributes = {}, children = []) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};

const svg = (name, attributes = {}, children = []) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
};

const unpack = async (packed) => {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
};

const rgba = (colour) => {
  const n = parseInt(colour.slice(1), 16);
  return ((255 << 24) | ((n & 0xff) << 16) | (n & 0xff00) | (n >> 16)) >>> 0; // bytes r, g, b, a in memory
};

// The colour of each pair of levels, at 256 * forecast + observed. A forecast that knows nothing counts as dry.
const pairs = (colour) =>
  Uint32Array.from({ length: 65536 }, (_, i) => rgba(colour((i >> 8) % NOT_KNOWN, i & 255)));

const tables = {
  error: ({ bar, swatches }, values, edges) =>
    pairs((f, o) => {
      const error = values[f] - values[o];
      return o === NOT_KNOWN ? swatches[0][0] : bar[edges.reduce((n, edge) => n + (error > edge), 0)][0];
    }),
  hits: ({ swatches }, level) =>
    pairs((f, o) => swatches[o === NOT_KNOWN ? 4 : o > level ? (f > level ? 0 : 1) : f > level ? 2 : 3][0]),
};

// Hits, misses and false alarms, as counting.count counts them; a score that is not defined is NaN.
function scores(forecast, observed, level) {
  let [hits, misses, alarms] = [0, 0, 0];
  for (let i = 0; i < observed.length; i++) {
    if (observed[i] === NOT_KNOWN) continue;
    const rain = forecast[i] > level && forecast[i] !== NOT_KNOWN;
    if (observed[i] > level) rain ? hits++ : misses++;
    else if (rain) alarms++;
  }
  return [hits / (hits + misses + alarms), hits / (hits + misses), alarms / (hits + alarms), hits, misses, alarms];
}

// The edges between pixels above the level and others, as the path of an SVG.
function outline(levels, level, height, width) {
  const path = [];
  const follow = (rows, columns, down, across, line) => {
    for (let i = 1; i < rows; i++) {
      for (let j = 0, from = -1; j <= columns; j++) {
        const [a, b] = [levels[(i - 1) * down + j * across], levels[i * down + j * across]];
        const edge = j < columns && (a > level && a < NOT_KNOWN) !== (b > level && b < NOT_KNOWN);
        if (edge && from < 0) from = j;
        if (!edge && from >= 0) {
          path.push(line(i, from, j));
          from = -1;
        }
      }
    }
  };
  follow(height, width, width, 1, (y, x, end) => `M${x} ${y}H${end}`);
  follow(width, height, 1, width, (x, y, end) => `M${x} ${y}V${end}`);
  return path.join("");
}

const borders = (lines) =>
  lines.map((line) => "M" + line.map((v) => v + 0.5).join(" ").replace(/^(\S+ \S+) ?/, "$1L")).join("");

function readable(rate) {
  if (Number.isNaN(rate)) return "not known";
  return rate ? `${+rate.toPrecision(2)} mm/h` : "dry";
}

// Longitude and latitude of a pixel, between those that are given of some.
function place(degrees, [x, y], [height, width]) {
  const n = degrees[0].length - 1;
  const [u, v] = [(x / Math.max(1, width - 1)) * n, (y / Math.max(1, height - 1)) * n];
  const [i, j] = [Math.min(Math.floor(u), n - 1), Math.min(Math.floor(v), n - 1)];
  const [lon, lat] = degrees.map((d) => {
    const across = (row) => row[i] + (row[i + 1] - row[i]) * (u - i);
    return across(d[j]) + (across(d[j + 1]) - across(d[j])) * (v - j);
  });
  return `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(2)}° ${lon < 0 ? "W" : "E"}`;
}

// Curves (colour, values, from which frame on, lower and upper ends of a range) over the minutes of the frames.
function chart(picture, curves, minutes, ticks, first, frame, axis) {
  const [width, height, left, right, up, down] = [picture.clientWidth || 640, 150, 44, 12, 10, 34];
  const known = (values) => values.filter((v) => !Number.isNaN(v));
  const highest = Math.max(0.1, ...curves.flatMap(({ values, range }) => known([...values, ...(range?.[1] || [])])));
  const unit = 10 ** Math.floor(Math.log10(highest / 4));
  const step = [1, 2, 5, 10].find((n) => n * unit * 4 >= highest * 0.999) * unit;
  const top = Math.ceil(highest / step - 0.001) * step;
  const span = minutes[minutes.length - 1] - minutes[0] || 1;
  const x = (f) => left + ((width - left - right) * (minutes[f] - minutes[0])) / span;
  const y = (rate) => height - down - ((height - up - down) * rate) / top;
  const parts = [];
  const text = (at, high, words, anchor = "middle") => {
    parts.push(svg("text", { x: at, y: high, "text-anchor": anchor }, [words]));
  };
  for (let rate = 0; rate <= top * 1.001; rate += step) {
    parts.push(svg("path", { class: "nowcast-grid", d: `M${left} ${y(rate)}H${width - right}` }));
    text(left - 6, y(rate) + 4, `${+rate.toPrecision(3)}`, "end");
  }
  const every = Math.ceil(minutes.length / Math.max(2, Math.floor((width - left) / 52)));
  ticks.forEach((words, f) => (f - first) % every === 0 && text(x(f), height - down + 15, words));
  text((left + width - right) / 2, height - 4, axis);
  parts.push(svg("text", { transform: `translate(11 ${(height - down + up) / 2}) rotate(-90)`, "text-anchor": "middle" }, ["mm/h"]));
  parts.push(svg("path", { class: "nowcast-now", d: `M${x(frame)} ${up}V${height - down}` }));
  curves.forEach(({ colour, values, from, range }) => {
    const frames = [...values.keys()].slice(from);
    if (range) {
      const inside = frames.filter((f) => !Number.isNaN(range[0][f] + range[1][f]));
      const ends = [...inside.map((f) => [f, range[0][f]]), ...inside.reverse().map((f) => [f, range[1][f]])];
      parts.push(svg("polygon", { fill: colour, opacity: 0.2, points: ends.map(([f, v]) => `${x(f)},${y(v)}`).join(" ") }));
    }
    let pen = "M";
    const line = frames.map((f) => {
      const piece = Number.isNaN(values[f]) ? "" : `${pen}${x(f)} ${y(values[f])}`;
      pen = piece ? "L" : "M"; // what is not known leaves a gap
      return piece;
    });
    parts.push(svg("path", { class: "nowcast-curve", stroke: colour, d: line.join("") }));
    if (frame >= from && !Number.isNaN(values[frame]))
      parts.push(svg("circle", { fill: colour, r: 3.5, cx: x(frame), cy: y(values[frame]) }));
  });
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.replaceChildren(...parts);
}

function legends(legend) {
  return legend.map(({ title, bar, swatches }) => {
    const colour = (element, c) => {
      element.style.background = c;
      return element;
    };
    const classes = bar.map(([c, edge]) => colour(tag("span", {}, [tag("small", { textContent: edge })]), c));
    return tag("div", { className: "nowcast-legend" }, [
      tag("b", { textContent: title }),
      ...(bar.length ? [tag("div", { className: "nowcast-bar" }, classes)] : []),
      ...swatches.map(([c, words]) => tag("span", {}, [colour(tag("i"), c), words])),
    ]);
  });
}

async function render({ model, el }) {
  const get = (name) => model.get(name);
  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const [height, width] = get("size");
  const [labels, values, controls, past] = ["labels", "values", "controls", "past"].map(get);
  const [last, pixels] = [labels.length - 1, height * width];
  const rain = values.length > 0;
  const rate = (level) => (level === NOT_KNOWN ? NaN : values[level]);

  const mark = (k) => {
    const line = tag("i", { className: "nowcast-mark" });
    line.style.background = get("lines")[k];
    return line;
  };
  const step = (by) => put("frame", (get("frame") + by + last + 1) % (last + 1));
  const button = (text, ariaLabel, by) => tag("button", { type: "button", textContent: text, ariaLabel, title: ariaLabel, onclick: () => step(by) });
  const label = tag("span", { className: "nowcast-label", role: "status" });
  const map = borders(get("borders"));
  const panels = get("panels").map(([name, numbers], k) => {
    const canvas = tag("canvas", { width, height });
    const [line, casing, cross, crossing] = ["nowcast-outline", "nowcast-casing", "nowcast-cross", "nowcast-casing"].map((c) => svg("path", { class: c }));
    const box = { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": true };
    const over = svg("svg", box, [svg("path", { class: "nowcast-borders", d: map }), casing, line, crossing, cross]);
    const handle = tag("div", { className: "nowcast-handle" });
    const picture = tag("div", { className: "nowcast-picture" }, [canvas, over, handle]);
    const title = tag("span");
    const table = tag("div", { className: "nowcast-scores" });
    const caption = tag("figcaption", {}, rain && get("panels").length > 1 ? [mark(k), title] : [title]);
    const figure = tag("figure", {}, [caption, picture, table]);
    const image = new ImageData(width, height);
    return {
      name, numbers, canvas, outlines: [casing, line], crosses: [crossing, cross], handle, picture, title, table, figure, image,
      colours: new Uint32Array(image.data.buffer),
      palette: Uint32Array.from(get("palettes")[k], rgba),
    };
  });
  if (get("pixel") && rain) {
    const km = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((n) => n <= 0.4 * width * get("pixel")).pop();
    panels.forEach(({ picture }) => {
      const bar = tag("div", { className: "nowcast-scale", textContent: `${km} km` });
      bar.style.width = `${(100 * km) / (width * get("pixel"))}%`;
      if (km) picture.append(bar);
    });
  }
  const compared = panels.length > 1 && rain;
  const swipe = tag("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "swipe: share of the picture that is observed" });
  swipe.className = "nowcast-swipe";
  const words = tag("div", { className: "nowcast-words" });
  const lines = svg("svg", { class: "nowcast-chart", role: "img" });
  const keys = ["← → Home End frame", "space play", ...controls.map(([, what, , key]) => `${key} ${what}`)];
  if (rain) keys.push("shift ← → ↑ ↓ pixel", "Esc all pixels");
  const root = tag("div", { className: "nowcast-player", tabIndex: 0, role: "group", ariaLabel: `player; keys: ${keys.join(", ")}` });
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab has other plans for these keys
  const grid = tag("div", { className: "nowcast-panels" }, panels.map(({ figure }) => figure));
  const legend = legends(get("legend"));
  root.append(
    tag("div", { className: "nowcast-head" }, [button("‹", "a frame back", -1), label, button("›", "a frame on", 1)]),
    ...(compared ? [swipe] : []),
    grid,
    ...legend,
    ...(rain ? [words, lines] : []),
    tag("div", { className: "nowcast-keys", textContent: `Keys: ${keys.join(" · ")}` }),
    tag("div", { className: "nowcast-credit", textContent: get("credit") + (map ? " · borders: Natural Earth" : "") })
  );
  el.append(root);

  const sequences = await Promise.all(get("sequences").map(unpack)); // a byte a pixel, frame after frame
  const shown = {}; // what was made once: colours of pairs, outlines, means
  const once = (key, make) => (shown[key] ??= make());
  const levels = (number, frame) => sequences[number].subarray(frame * pixels, (frame + 1) * pixels);
  const sequence = ({ numbers }) => numbers[Math.min(get("choice"), numbers.length - 1)];
  let [pinned, pointed] = [null, null];

  const colours = (view, level) => {
    if (view === 2) return once("error", () => tables.error(get("legend")[2], values, get("errors")));
    return view === 3 ? once(`hits ${level}`, () => tables.hits(get("legend")[3], level)) : null;
  };

  const draw = () => {
    const [frame, choice, view, arrangement] = ["frame", "choice", "view", "arrangement"].map(get);
    const [threshold, level] = get("thresholds")[get("threshold")] || [0, 0];
    const observed = levels(0, frame);
    const split = arrangement === 2 ? Math.round((swipe.value / 100) * width) : 0;
    const path = view === 1 ? once(`outline ${frame} ${level}`, () => outline(observed, level, height, width)) : "";
    label.textContent = labels[frame];
    label.setAttribute("aria-live", get("playing") ? "off" : "polite");
    panels.forEach((panel, k) => {
      const { name, canvas, title, handle, table, image, palette } = panel;
      panel.figure.hidden = arrangement ? !(k === choice + 1 || (k === 0 && arrangement === 1)) : false;
      if (panel.figure.hidden) return;
      panel.figure.classList.toggle("nowcast-chosen", !arrangement && panels.length > 2 && k === choice + 1 && compared);
      title.textContent = split || arrangement === 2 ? `observed | ${name}` : name;
      handle.hidden = arrangement !== 2;
      handle.style.left = `${swipe.value}%`;
      const forecast = levels(sequence(panel), frame);
      const pair = compared && k && frame >= past ? colours(view, level) : null;
      for (let i = 0, x = 0; i < pixels; i++) {
        panel.colours[i] = x < split ? palette[observed[i]] : pair ? pair[(forecast[i] << 8) | observed[i]] : palette[forecast[i]];
        if (++x === width) x = 0;
      }
      canvas.getContext("2d").putImageData(image, 0, 0);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${title.textContent}, ${label.textContent}`);
      panel.outlines.forEach((line) => line.setAttribute("d", path));
      if (!compared) return;
      const seen = observed.some((other) => other !== NOT_KNOWN);
      const found = k && frame >= past && seen ? scores(forecast, observed, level) : [];
      const cells = ["CSI", "POD", "FAR", "hits", "misses", "false alarms"].map((what, n) => {
        const text = n > 2 ? found[n] : found[n]?.toFixed(2);
        return tag("span", {}, [tag("small", { textContent: what }), tag("b", { textContent: text === "NaN" ? "–" : text })]);
      });
      const note = k ? `rain > ${threshold} mm/h` + (found.length ? "" : seen ? ": from the first forecast on" : ": nothing observed") : "";
      table.replaceChildren(tag("small", { textContent: note }), ...(found.length ? cells : []));
    });
    swipe.hidden = arrangement !== 2;
    legend.forEach((part, k) => (part.hidden = k > 0 && k !== view));
    if (rain) follow();
  };

  // mean rain of the pixels that are known in a frame
  const means = (number) =>
    once(`mean ${number}`, () =>
      labels.map((_, frame) => {
        let [sum, n] = [0, 0];
        for (const level of levels(number, frame)) {
          if (level !== NOT_KNOWN) {
            sum += values[level];
            n++;
          }
        }
        return sum / n;
      })
    );

  // what falls at a pixel, or on all of them
  const follow = () => {
    const at = pointed || pinned;
    const frame = get("frame");
    const here = (number) => labels.map((_, f) => rate(sequences[number][f * pixels + at[1] * width + at[0]]));
    const curves = panels.map((panel, k) => ({
      colour: get("lines")[k],
      values: at ? here(sequence(panel)) : means(sequence(panel)),
      from: k ? Math.max(0, past - 1) : 0,
      range: at && get("ranges")[k].length ? get("ranges")[k].map(here) : null,
    }));
    const [x, y] = at || [0, 0];
    const path = at ? `M0 ${y + 0.5}H${x - 2}M${x + 3} ${y + 0.5}H${width}M${x + 0.5} 0V${y - 2}M${x + 0.5} ${y + 3}V${height}` : "";
    panels.forEach(({ crosses }) => crosses.forEach((line) => line.setAttribute("d", path)));
    const where = !at
      ? "mean of all pixels that are known; point at one (click: keep)"
      : `pixel ${x}, ${y}` + (get("degrees").length ? ` · ${place(get("degrees"), at, [height, width])}` : "");
    const rates = panels.map(({ name }, k) => {
      const v = curves[k].values[frame];
      const text = at || Number.isNaN(v) ? readable(v) : `${v.toFixed(2)} mm/h`;
      return tag("span", {}, [mark(k), `${name}: `, tag("b", { textContent: text })]);
    });
    words.replaceChildren(tag("span", { textContent: where }), ...rates);
    lines.setAttribute("aria-label", `rain rate, ${words.textContent}`);
    chart(lines, curves, get("minutes"), get("ticks"), Math.max(0, past - 1), frame, get("axis"));
  };

  const point = (pixel, keep) => {
    if (keep) pinned = pinned && pixel && String(pinned) === String(pixel) ? null : pixel;
    pointed = keep ? null : pixel;
    follow();
  };
  panels.forEach(({ picture, handle }) => {
    const pixel = ({ clientX, clientY }) => {
      const box = picture.getBoundingClientRect();
      const at = [((clientX - box.left) / box.width) * width, ((clientY - box.top) / box.height) * height];
      return at.map((v, k) => Math.max(0, Math.min([width, height][k] - 1, Math.floor(v))));
    };
    if (rain) {
      picture.onpointermove = (event) => event.pointerType !== "touch" && point(pixel(event), false);
      picture.onpointerleave = () => point(null, false);
      picture.onclick = (event) => point(pixel(event), true);
    }
    handle.onclick = (event) => event.stopPropagation();
    handle.onpointerdown = (event) => handle.setPointerCapture(event.pointerId);
    handle.onpointermove = (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = picture.getBoundingClientRect();
      swipe.value = (100 * (event.clientX - box.left)) / box.width;
      draw();
    };
  });
  swipe.oninput = draw;

  root.onkeydown = (event) => {
    if (event.target.closest("button, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const control = controls.find(([, , , key]) => key === event.key);
    const digit = controls.some(([trait]) => trait === "choice") && /^[1-9]$/.test(event.key) ? +event.key - 1 : -1;
    if (event.shiftKey && arrow && rain) {
      const [x, y] = pinned || [width >> 1, height >> 1];
      pinned = [Math.max(0, Math.min(width - 1, x + arrow[0])), Math.max(0, Math.min(height - 1, y + arrow[1]))];
      point(null, false);
    } else if (arrow && arrow[0]) step(arrow[0]);
    else if (event.key === "Home" || event.key === "End") put("frame", event.key === "Home" ? 0 : last);
    else if (event.key === " ") put("playing", !get("playing"));
    else if (event.key === "Escape") point((pinned = null), false);
    else if (digit >= 0 && digit < get("names").length) put("choice", digit);
    else if (control) put(control[0], (get(control[0]) + 1) % control[2].length);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  // as few rows of panels as there can be, filled alike
  const fit = () => {
    const n = panels.filter(({ figure }) => !figure.hidden).length;
    const columns = Math.ceil(n / Math.ceil(n / Math.max(1, Math.floor(el.clientWidth / 160))));
    const most = n === 1 ? 560 : 420;
    root.style.maxWidth = `${columns * most}px`;
    grid.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    const smooth = width > Math.min(most, el.clientWidth / columns);
    panels.forEach(({ canvas }) => (canvas.style.imageRendering = smooth ? "auto" : "pixelated"));
    if (rain) follow();
  };
  ["frame", "choice", "view", "threshold", "playing"].forEach((name) => model.on(`change:${name}`, draw));
  model.on("change:arrangement", () => {
    draw();
    fit();
  });
  draw();
  new ResizeObserver(fit).observe(el);
}

// A saved page has no kernel: the state stands in the page, and the browser's own controls change it.
function standalone(el, state, intervals) {
  const listeners = {};
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const model = {
    get: (name) => (name === "sequences" ? state.sequences.map(bytes) : state[name]),
    set: (name, value) => {
      state[name] = value;
      (listeners[name] || []).forEach((listener) => listener());
    },
    on: (event, listener) => (listeners[event.replace("change:", "")] ??= []).push(listener),
    save_changes: () => {},
  };
  const last = state.labels.length - 1;
  const slider = tag("input", { type: "range", min: 0, max: last, value: state.frame, ariaLabel: "frame" });
  const play = tag("button", { type: "button", className: "nowcast-play" });
  slider.oninput = () => model.set("frame", +slider.value);
  play.onclick = () => model.set("playing", !state.playing);
  const selects = state.controls.map(([trait, what, options]) => {
    const select = tag("select", { ariaLabel: what }, options.map((o, k) => tag("option", { value: k, textContent: o })));
    select.onchange = () => model.set(trait, +select.value);
    const follow = () => (select.value = state[trait]);
    follow();
    model.on(`change:${trait}`, follow);
    return tag("label", {}, [`${what} `, select]);
  });
  const follow = () => {
    slider.value = state.frame;
    slider.ariaValueText = state.labels[state.frame];
  };
  follow();
  model.on("change:frame", follow);
  let timer = null;
  const run = () => {
    play.textContent = state.playing ? "⏸ pause" : "▶ play";
    clearInterval(timer);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches; // then no faster than once a second
    const next = () => model.set("frame", state.frame < last ? state.frame + 1 : 0);
    if (state.playing) timer = setInterval(next, Math.max(intervals[state.speed], still ? 1000 : 0));
  };
  run();
  model.on("change:playing", run);
  model.on("change:speed", run);
  el.append(tag("div", { className: "nowcast-controls" }, [play, slider, ...selects]));
  render({ model, el });
}

export default { render, standalone };
