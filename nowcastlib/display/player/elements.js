// HTML and SVG elements with their properties and children.

export function tag(name, properties = {}, children = []) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

export function svg(name, attributes = {}, children = []) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  element.append(...children);
  return element;
}

// A coloured square or line.
export function swatch(colour, className = "") {
  const element = tag("i", { className });
  element.style.background = colour;
  return element;
}
