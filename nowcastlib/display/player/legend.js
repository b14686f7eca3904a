// Legends: a title, a bar of classes with their lower edges, and swatches with a text each.

import { swatch, tag } from "./elements.js";

export function legendElement({ title, bar, swatches }) {
  const children = title ? [tag("b", { textContent: title })] : [];
  if (bar.length) children.push(tag("div", { className: "nowcast-bar" }, bar.map(barClass)));
  children.push(...swatches.map(([colour, text]) => tag("span", {}, [swatch(colour), text])));
  return tag("div", { className: "nowcast-legend" }, children);
}

function barClass([colour, edge]) {
  const element = tag("span", {}, [tag("small", { textContent: edge })]);
  element.style.background = colour;
  return element;
}
