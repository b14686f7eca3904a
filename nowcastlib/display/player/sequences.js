// Sequences of frames, one byte a pixel: a level of rain, or a shade.

export const NOT_KNOWN = 255;
export const MOST = 254; // shade of the share 1

export class Sequences {
  // `sequences`: unpacked bytes, frame after frame. A sequence that is shorter than the first
  // starts with the first frames of that one.
  constructor(sequences, pixels) {
    this.sequences = sequences.map((bytes) => afterPast(bytes, sequences[0]));
    this.pixels = pixels;
    this.frames = sequences[0].length / pixels;
  }

  frame(number, t) {
    return this.sequences[number].subarray(t * this.pixels, (t + 1) * this.pixels);
  }

  // What a pixel's levels stand for in every frame, by a table of values; NaN where not known.
  atPixel(number, pixel, values) {
    const levels = this.sequences[number];
    return Array.from({ length: this.frames }, (_, t) => {
      const level = levels[t * this.pixels + pixel];
      return level === NOT_KNOWN ? NaN : values[level];
    });
  }

  // Mean of what the known pixels stand for in every frame; NaN where none is known.
  means(number, values) {
    return Array.from({ length: this.frames }, (_, t) => mean(this.frame(number, t), values));
  }
}

function mean(levels, values) {
  let sum = 0;
  let known = 0;
  for (const level of levels) {
    if (level === NOT_KNOWN) continue;
    sum += values[level];
    known++;
  }
  return sum / known;
}

function afterPast(bytes, first) {
  const past = first.length - bytes.length;
  if (!past) return bytes;
  const all = new Uint8Array(first.length);
  all.set(first.subarray(0, past));
  all.set(bytes, past);
  return all;
}
