// The part of the picture that all panels show, and the gestures and keys that change it.

import { tag } from "./elements.js";

const SMALLEST = 32; // px; of the shorter side, at the largest zoom
const KEY_FACTOR = 1.5;
const CLICK = 4; // px on the screen; a pointer that moves less has clicked

// The window that is seen: [left, top] and its size in px of the frame.
export class Zoom {
  constructor([height, width], changed) {
    this.size = [width, height];
    this.largest = Math.max(1, Math.min(width, height) / SMALLEST);
    this.changed = changed;
    this.scale = 1;
    this.corner = [0, 0];
  }

  get isUseful() {
    return this.largest > 2;
  }

  get isZoomed() {
    return this.scale > 1;
  }

  get window() {
    return this.size.map((n) => n / this.scale);
  }

  get middle() {
    return this.corner.map((start, k) => start + this.window[k] / 2);
  }

  // The place in the frame of a place in the picture, both ends of the picture being 0 and 1.
  at(shares) {
    return shares.map((share, k) => this.corner[k] + share * this.window[k]);
  }

  moveTo(scale, corner) {
    this.scale = Math.max(1, Math.min(this.largest, scale));
    this.corner = corner.map((v, k) => Math.max(0, Math.min(this.size[k] - this.window[k], v)));
    this.changed();
  }

  // Zooms about a place of the frame, which stays where it is. False if nothing changes.
  by(factor, place = this.middle) {
    const scale = Math.max(1, Math.min(this.largest, this.scale * factor));
    if (scale === this.scale) return false;
    const corner = place.map((v, k) => v - ((v - this.corner[k]) * this.scale) / scale);
    this.moveTo(scale, corner);
    return true;
  }

  // Moves the window by shares of its size.
  pan(shares) {
    this.moveTo(this.scale, this.at(shares));
  }

  reset() {
    this.moveTo(1, [0, 0]);
  }

  // Moves the window as little as necessary to show a pixel.
  show(pixel) {
    const corner = pixel.map((v, k) => {
      const start = this.corner[k];
      return Math.min(v, Math.max(start, v + 1 - this.window[k]));
    });
    this.moveTo(this.scale, corner);
  }
}

// True if the key was one of the zoom's. `pixel` is the pinned pixel or null.
export function zoomKey(zoom, key, pixel) {
  if (!zoom.isUseful) return false;
  const place = pixel?.map((v) => v + 0.5);
  if (key === "+" || key === "=") zoom.by(KEY_FACTOR, place);
  else if (key === "-" || key === "−") zoom.by(1 / KEY_FACTOR, place);
  else if (key === "0") zoom.reset();
  else return false;
  return true;
}

export function zoomButtons(zoom) {
  const button = (text, name, act) => {
    const properties = { type: "button", textContent: text, title: name, onclick: act };
    return tag("button", { ...properties, "aria-label": name });
  };
  const buttons = [
    button("−", "zoom out", () => zoom.by(1 / KEY_FACTOR)),
    button("+", "zoom in", () => zoom.by(KEY_FACTOR)),
    button("1×", "whole picture", () => zoom.reset()),
  ];
  const row = tag("div", {}, buttons);
  return tag("div", { className: "nowcast-zoom", role: "group", "aria-label": "zoom" }, ["zoom", row]);
}

// Wheel, pinch, drag and double click on a picture. The plain wheel zooms only a player that
// `isActive`, so that it does not catch a page that is scrolled.
export function listenToZoom(picture, zoom, isActive) {
  if (!zoom.isUseful) return;
  const pointers = new Map(); // places on the screen
  let travelled = 0;
  const shares = ([x, y]) => {
    const { left, top, width, height } = picture.getBoundingClientRect();
    return [(x - left) / width, (y - top) / height];
  };
  const place = ({ clientX, clientY }) => [clientX, clientY];

  const wheel = (event) => {
    if (!event.ctrlKey && !event.metaKey && !isActive()) return;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const factor = 2 ** ((-event.deltaY * lines) / (event.ctrlKey ? 100 : 300));
    if (zoom.by(factor, zoom.at(shares(place(event))))) event.preventDefault();
  };
  const down = (event) => {
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, place(event));
    if (zoom.isZoomed || pointers.size > 1) picture.setPointerCapture(event.pointerId);
  };
  const move = (event) => {
    if (!pointers.has(event.pointerId)) return;
    const before = [...pointers.values()];
    pointers.set(event.pointerId, place(event));
    if (!zoom.isZoomed && pointers.size < 2) return;
    const after = [...pointers.values()];
    travelled += distance(before[0], after[0]) + (pointers.size > 1 ? CLICK : 0);

    if (pointers.size === 2) {
      const factor = distance(...after) / Math.max(1, distance(...before));
      zoom.by(factor, zoom.at(shares(centre(before))));
    }
    const [from, to] = [shares(centre(before)), shares(centre(after))];
    zoom.pan(from.map((share, k) => share - to[k]));
  };
  const up = (event) => pointers.delete(event.pointerId);
  const click = (event) => {
    if (travelled > CLICK) event.stopPropagation();
  };
  const touch = (event) => {
    if (event.touches.length > 1) event.preventDefault(); // the page does not zoom with it
  };

  picture.addEventListener("wheel", wheel, { passive: false });
  picture.addEventListener("touchmove", touch, { passive: false });
  picture.addEventListener("pointerdown", down);
  picture.addEventListener("pointermove", move);
  picture.addEventListener("pointerup", up);
  picture.addEventListener("pointercancel", up);
  picture.addEventListener("click", click, { capture: true });
  picture.addEventListener("dblclick", () => zoom.reset());
}

function distance([x, y], [u, v]) {
  return Math.hypot(x - u, y - v);
}

function centre(places) {
  return [0, 1].map((k) => places.reduce((sum, at) => sum + at[k], 0) / places.length);
}
