// The player in a saved page, without a kernel: the state stands in the page.

import { initialize, render } from "./start.js";

class PageModel {
  constructor(state) {
    this.state = state;
    this.listeners = {};
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    (this.listeners[`change:${name}`] ?? []).forEach((listener) => listener());
  }

  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }

  off(event, listener) {
    this.listeners[event] = (this.listeners[event] ?? []).filter((other) => other !== listener);
  }

  save_changes() {}
}

export function show(el, state) {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const model = new PageModel({ ...state, sequences: state.sequences.map(bytes) });
  initialize({ model });
  render({ model, el });
}
