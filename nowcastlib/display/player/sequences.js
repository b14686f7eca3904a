// Sequences of frames, one byte a pixel: a level of rain, or a shade.

export const NOT_KNOWN = 255;

export async function unpack(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export class Sequences {
  // `sequences`: unpacked bytes, frame after frame; `values`: rain rates (mm/h) of the levels
  constructor(sequences, pixels, values) {
    this.sequences = sequences;
    this.pixels = pixels;
    this.values = values;
    this.frames = sequences[0].length / pixels;
    this.cachedMeans = new Map();
  }

  frame(number, t) {
    return this.sequences[number].subarray(t * this.pixels, (t + 1) * this.pixels);
  }

  // Rain rate of a pixel in every frame; NaN where it is not known.
  atPixel(number, pixel) {
    const levels = this.sequences[number];
    return Array.from({ length: this.frames }, (_, t) => {
      const level = levels[t * this.pixels + pixel];
      return level === NOT_KNOWN ? NaN : this.values[level];
    });
  }

  // Mean rain rate of the known pixels in every frame; NaN where none is known.
  means(number) {
    if (!this.cachedMeans.has(number)) {
      const means = Array.from({ length: this.frames }, (_, t) => this.mean(this.frame(number, t)));
      this.cachedMeans.set(number, means);
    }
    return this.cachedMeans.get(number);
  }

  mean(levels) {
    let sum = 0;
    let known = 0;
    for (const level of levels) {
      if (level === NOT_KNOWN) continue;
      sum += this.values[level];
      known++;
    }
    return sum / known;
  }
}
