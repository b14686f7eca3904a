// Starts the player: its views in output cells or pages, and the clock that plays it.

import { unpack } from "./packing.js";
import { Sequences } from "./sequences.js";
import { View } from "./view.js";

const STATE = ["frame", "playing", "choice", "arrangement", "view", "threshold", "speed"];

// Shows the player in an element. Returns a function that ends it.
export async function render({ model, el }) {
  const { size } = model.get("scene");
  const unpacked = await Promise.all(model.get("sequences").map((one) => unpack(one, size)));
  const sequences = new Sequences(unpacked, size[0] * size[1]);
  const view = new View(model, el, sequences);

  const changed = () => view.draw();
  const rearranged = () => view.fit();
  STATE.forEach((name) => model.on(`change:${name}`, changed));
  model.on("change:arrangement", rearranged);
  const observer = new ResizeObserver(() => view.fit());
  view.draw();
  observer.observe(el);

  return () => {
    observer.disconnect();
    STATE.forEach((name) => model.off(`change:${name}`, changed));
    model.off("change:arrangement", rearranged);
    if (view.get("playing")) view.set("playing", false);
  };
}

// Plays: one clock for all views of a model. Returns a function that stops it.
export function initialize({ model }) {
  let clock = null;
  const next = () => {
    const frames = model.get("scene").labels.length;
    model.set("frame", (model.get("frame") + 1) % frames);
    model.save_changes();
  };
  const run = () => {
    clearInterval(clock);
    if (!model.get("playing")) return;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const interval = model.get("scene").intervals[model.get("speed")]; // ms
    clock = setInterval(next, still ? Math.max(1000, interval) : interval);
  };
  model.on("change:playing", run);
  model.on("change:speed", run);
  run();
  return () => clearInterval(clock);
}
