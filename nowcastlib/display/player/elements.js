// HTML and SVG elements with their properties and children.

// Keys with a hyphen (aria-label) and the role are attributes, all others properties.
export function tag(name, properties = {}, children = []) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "role" || key.includes("-")) element.setAttribute(key, value);
    else element[key] = value;
  }
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
