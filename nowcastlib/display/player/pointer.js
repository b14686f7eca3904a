// The pixel that the mouse points at, a click or a tap pins, or the keyboard moves.

export class Pointer {
  constructor([height, width], changed) {
    this.size = [width, height];
    this.changed = changed;
    this.pinned = null;
    this.hovered = null;
  }

  get pixel() {
    return this.hovered ?? this.pinned;
  }

  inside(pixel) {
    return pixel.map((v, k) => Math.max(0, Math.min(this.size[k] - 1, Math.floor(v))));
  }

  hover(pixel) {
    this.hovered = pixel;
    this.changed();
  }

  // A second click on the pinned pixel releases it.
  pin(pixel) {
    this.pinned = String(this.pinned) === String(pixel) ? null : pixel;
    this.hover(null);
  }

  move([right, down]) {
    const [x, y] = this.pinned ?? this.size.map((n) => n >> 1);
    this.pinned = this.inside([x + right, y + down]);
    this.hover(null);
  }

  clear() {
    this.pinned = null;
    this.hover(null);
  }

  listen(picture, zoom) {
    const pixel = ({ clientX, clientY }) => {
      const { left, top, width, height } = picture.getBoundingClientRect();
      return this.inside(zoom.at([(clientX - left) / width, (clientY - top) / height]));
    };
    picture.onpointermove = (event) => {
      if (event.pointerType !== "touch") this.hover(pixel(event));
    };
    picture.onpointerleave = () => this.hover(null);
    picture.onclick = (event) => this.pin(pixel(event));
  }
}

// Dragging the handle of the swipe calls `moved` with its place, in per cent of the width.
export function listenToHandle(handle, picture, moved) {
  handle.onclick = (event) => event.stopPropagation();
  handle.onpointerdown = (event) => {
    event.stopPropagation(); // the picture does not move with it
    handle.setPointerCapture(event.pointerId);
  };
  handle.onpointermove = (event) => {
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const { left, width } = picture.getBoundingClientRect();
    moved((100 * (event.clientX - left)) / width);
  };
}
