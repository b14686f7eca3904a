// The frames' place on the Earth: borders, longitude and latitude, a scale bar.

const ROUND_KM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

// Lines (x, y, x, y, … in px; pixel centres are whole numbers) as the path of an SVG.
export function borderPath(lines) {
  const path = (line) => {
    const [x, y, ...rest] = line.map((v) => v + 0.5);
    return rest.length ? `M${x} ${y}L${rest.join(" ")}` : `M${x} ${y}`;
  };
  return lines.map(path).join("");
}

// Latitude and longitude of a pixel as text, interpolated in a table of degrees (2, n, n).
export function place(degrees, [x, y], [height, width]) {
  const n = degrees[0].length - 1;
  const [u, v] = [(x / Math.max(1, width - 1)) * n, (y / Math.max(1, height - 1)) * n];
  const [i, j] = [Math.min(Math.floor(u), n - 1), Math.min(Math.floor(v), n - 1)];

  const between = (a, b, share) => a + (b - a) * share;
  const [lon, lat] = degrees.map((table) => {
    const upper = between(table[j][i], table[j][i + 1], u - i);
    const lower = between(table[j + 1][i], table[j + 1][i + 1], u - i);
    return between(upper, lower, v - j);
  });
  const [north, east] = [lat < 0 ? "S" : "N", lon < 0 ? "W" : "E"];
  return `${Math.abs(lat).toFixed(2)}° ${north}, ${Math.abs(lon).toFixed(2)}° ${east}`;
}

// A bar of at most 40 % of the width that is seen (px); null if the pixel's size (km) is unknown.
export function scaleBar(pixelKm, width) {
  const km = ROUND_KM.filter((n) => n <= 0.4 * width * pixelKm).pop();
  return km ? { km, share: km / (width * pixelKm) } : null;
}
