// Draws the panels. In JupyterLab ipywidgets drive it; in a saved page, controls of its own (standalone).

const tag = (name, attributes = {}, children = []) => {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
};

async function render({ model, el }) {
  const [height, width] = model.get("size");
  const scale = Math.max(1, Math.round(320 / Math.max(height, width)));
  const label = tag("div", { className: "nowcast-label" });
  // a panel shows one of its sprites, that of the choice; without a title it bears the name of the choice
  const panels = model.get("panels").map(([name, sprites]) => ({
    name,
    sprites,
    title: tag("figcaption", { textContent: name }),
    canvas: tag("canvas", { width: width * scale, height: height * scale }),
  }));
  const figures = panels.map((p) => tag("figure", {}, [p.title, p.canvas]));
  const legend = model.get("legend").map(([colour, text]) => {
    const swatch = tag("i");
    swatch.style.background = colour;
    return tag("span", {}, [swatch, text]);
  });
  legend.unshift(tag("b", { textContent: model.get("unit") }));
  el.append(
    tag("div", { className: "nowcast-player" }, [
      label,
      tag("div", { className: "nowcast-panels" }, figures),
      tag("div", { className: "nowcast-legend" }, legend),
      tag("div", { className: "nowcast-credit", textContent: model.get("credit") }),
    ])
  );
  // each sprite holds all frames of one sequence, in columns; decoded once
  const pictures = await Promise.all(
    model.get("sprites").map((png) => createImageBitmap(new Blob([png], { type: "image/png" })))
  );
  const draw = () => {
    const frame = model.get("frame");
    const choice = model.get("choice");
    label.textContent = model.get("labels")[frame];
    panels.forEach(({ name, sprites, canvas, title }) => {
      title.textContent = name || model.get("names")[choice] || "";
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      const picture = pictures[sprites[Math.min(choice, sprites.length - 1)]];
      const column = Math.floor((frame * height) / picture.height);
      const [x, y] = [column * width, frame * height - column * picture.height];
      context.drawImage(picture, x, y, width, height, 0, 0, canvas.width, canvas.height);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${title.textContent}, ${label.textContent}`);
    });
  };
  model.on("change:frame", draw);
  model.on("change:choice", draw);
  draw();
}

// A saved page has no kernel: the state stands in the page, and the browser's own controls change it.
function standalone(el, state) {
  const listeners = {};
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const model = {
    get: (name) => (name === "sprites" ? state.sprites.map(bytes) : state[name]),
    set: (name, value) => {
      state[name] = value;
      (listeners[`change:${name}`] || []).forEach((listener) => listener());
    },
    on: (event, listener) => (listeners[event] = listeners[event] || []).push(listener),
  };
  const last = state.labels.length - 1;
  const slider = tag("input", { type: "range", min: 0, max: last, value: state.frame, ariaLabel: "frame" });
  const select = tag("select", { ariaLabel: state.what }, state.names.map((n, k) => tag("option", { value: k, textContent: n })));
  const play = tag("button", { textContent: "▶ play", type: "button" });
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ play";
  };
  const show = (frame) => {
    slider.value = frame;
    model.set("frame", frame);
  };
  slider.oninput = () => model.set("frame", +slider.value);
  select.onchange = () => model.set("choice", +select.value);
  play.onclick = () => {
    if (timer) return stop();
    play.textContent = "⏸ pause";
    timer = setInterval(() => show(state.frame < last ? state.frame + 1 : 0), 300);
  };
  el.append(tag("div", { className: "nowcast-controls" }, state.names.length ? [play, slider, select] : [play, slider]));
  render({ model, el });
}

export default { render, standalone };
