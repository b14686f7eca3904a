// Sequences of frames, unpacked as packing.py packed them: one byte a pixel.

const [NEIGHBOURS, BEFORE] = [1, 2];

// Bytes of a sequence of frames of the size [height, width].
export async function unpack(packed, [height, width]) {
  const data = new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength);
  const [prediction, frames] = [data[0], 256 * data[1] + data[2]];
  const stream = new Blob([data.subarray(3)]).stream();
  const inflated = stream.pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(inflated).arrayBuffer());
  return decode(prediction, bytes, [frames, height, width]);
}

// First one bit for each pixel, each row filled up to whole bytes; then the values of set pixels.
function decode(prediction, bytes, [frames, height, width]) {
  const [pixels, rowBytes] = [height * width, Math.ceil(width / 8)];
  const end = frames * height * rowBytes;
  restoreBits(bytes.subarray(0, end), prediction, height, rowBytes);
  const values = new Uint8Array(frames * pixels);
  for (let row = 0, i = 0, next = end; row < frames * height; row++) {
    for (let x = 0; x < width; x++, i++) {
      if (!((bytes[row * rowBytes + (x >> 3)] >> (7 - (x & 7))) & 1)) continue;
      let expected = 0;
      if (prediction === BEFORE) expected = row >= height ? values[i - pixels] : 0;
      else if (prediction === NEIGHBOURS) expected = detect(values, i, x, row % height, width);
      values[i] = bytes[next++] + expected;
    }
  }
  return values;
}
// Bits were sent as differences from the row above in the frame, or from the frame before.
function restoreBits(bits, prediction, height, rowBytes) {
  const frameBytes = height * rowBytes;
  const back = prediction === BEFORE ? frameBytes : rowBytes;
  for (let k = back; k < bits.length; k++) {
    const isFirstRow = prediction !== BEFORE && k % frameBytes < rowBytes;
    if (!isFirstRow) bits[k] ^= bits[k - back];
  }
}

// What the median edge detector of LOCO-I expects: left + above − corner, but within left and above.
function detect(values, i, x, y, width) {
  const left = x ? values[i - 1] : 0;
  const above = y ? values[i - width] : 0;
  const corner = x && y ? values[i - width - 1] : 0;
  const [low, high] = left < above ? [left, above] : [above, left];
  return Math.max(low, Math.min(high, left + above - corner));
}
