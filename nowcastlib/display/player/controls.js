// The controls: buttons, the slider, a select for each option, and the keys of the keyboard.

import { tag } from "./elements.js";
import { zoomButtons, zoomKey } from "./zoom.js";

// A row with play, a frame back, the slider, a frame on; below it the selects. Returns the element
// and a function that brings it up to date.
export function controls(view) {
  const { scene } = view;
  const play = tag("button", { type: "button", className: "nowcast-play" });
  play.onclick = () => view.set("playing", !view.get("playing"));
  const back = stepButton(view, "‹", "previous frame", -1);
  const on = stepButton(view, "›", "next frame", 1);
  const slider = frameSlider(view);
  const selects = scene.controls.map((control) => selectFor(view, control));

  const element = tag("div", { className: "nowcast-controls" }, [
    tag("div", { className: "nowcast-scrub" }, [play, back, slider, on]),
    tag("div", { className: "nowcast-selects" }, [
      ...selects,
      ...(view.zoom.isUseful ? [zoomButtons(view.zoom)] : []),
    ]),
  ]);
  const update = () => {
    play.textContent = view.get("playing") ? "⏸ pause" : "▶ play";
    slider.value = view.frame;
    slider.setAttribute("aria-valuetext", scene.labels[view.frame]);
    scene.controls.forEach(({ trait }, k) => {
      selects[k].querySelector("select").value = view.get(trait);
    });
  };
  return { element, update };
}

function stepButton(view, text, name, by) {
  const properties = { type: "button", className: "nowcast-step", textContent: text, title: name };
  const button = tag("button", { ...properties, "aria-label": name });
  button.onclick = () => view.step(by);
  return button;
}

function frameSlider(view) {
  const slider = tag("input", { type: "range", min: 0, max: view.last, "aria-label": "frame" });
  slider.className = "nowcast-slider";
  slider.oninput = () => view.set("frame", +slider.value);
  return slider;
}

function selectFor(view, { trait, label, options }) {
  const option = (text, value) => tag("option", { value, textContent: text });
  const select = tag("select", { "aria-label": label }, options.map(option));
  select.onchange = () => view.set(trait, +select.value);
  return tag("label", {}, [label, select]);
}

// What the keys do, for the player's label and the line below it.
export function keyHelp(scene, zoom) {
  const keys = ["← → Home End frame", "space play"];
  keys.push(...scene.controls.map(({ key, label }) => `${key} ${label}`));
  if (scene.rain) keys.push("shift ← → ↑ ↓ pixel", "Esc all pixels");
  if (zoom.isUseful) keys.push("+ − 0 zoom", "zoomed in: shift ← → ↑ ↓ move, double click back");
  return keys.join(" · ");
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Text fields and selects keep all their keys, buttons those that press them, and the swipe's
// slider those that move it.
function keepsKey(target, key) {
  if (target.closest("select, textarea, [contenteditable], input:not([type=range])")) return true;
  if (target.closest("button")) return key === " " || key === "Enter";
  return target.closest(".nowcast-swipe") !== null && (key in ARROWS || /^(Home|End)$/.test(key));
}

export function onKey(view, event) {
  const { key, shiftKey } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || keepsKey(event.target, key)) return;
  const isKnown =
    moveKey(view, key, shiftKey) ||
    zoomKey(view.zoom, key, view.pointer.pinned) ||
    frameKey(view, key) ||
    optionKey(view, key);
  if (!isKnown) return;
  event.preventDefault();
  event.stopPropagation();
}

// Shift and an arrow move the picture if it is zoomed in and no pixel is marked, else the pixel.
function moveKey(view, key, shiftKey) {
  const { pointer, scene, zoom } = view;
  if (shiftKey && key in ARROWS) {
    if (zoom.isZoomed && !pointer.pinned) zoom.pan(ARROWS[key].map((by) => by / 4));
    else if (scene.rain) {
      pointer.move(ARROWS[key]);
      zoom.show(pointer.pinned);
    } else return false;
  } else if (key === "Escape" && scene.rain) pointer.clear();
  else return false;
  return true;
}

function frameKey(view, key) {
  if (key === "ArrowLeft") view.step(-1);
  else if (key === "ArrowRight") view.step(1);
  else if (key === "Home") view.set("frame", 0);
  else if (key === "End") view.set("frame", view.last);
  else if (key === " ") view.set("playing", !view.get("playing"));
  else return false;
  return true;
}

function optionKey(view, key) {
  const { controls } = view.scene;
  const control = controls.find((one) => one.key === key);
  if (control) {
    view.set(control.trait, (view.get(control.trait) + 1) % control.options.length);
    return true;
  }
  const choice = controls.find(({ trait }) => trait === "choice");
  if (!choice || !/^[1-9]$/.test(key) || +key > choice.options.length) return false;
  view.set("choice", +key - 1);
  return true;
}
