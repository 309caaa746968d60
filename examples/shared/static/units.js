// How numbers are written. Every function takes a plain number and gives a short text.

/** Three figures and a decimal unit: 0 B, 950 B, 12.3 kB, 1.24 GB. */
export function bytes(n) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (n >= 999.5 && i < units.length - 1) {
    n /= 1000;
    i += 1;
  }
  return `${i === 0 ? Math.round(n) : n.toPrecision(3)} ${units[i]}`;
}

/** The same for round numbers on a scale: 500 kB, 1 MB, 2.5 MB. */
export const tick = (n) => bytes(n).replace(/\.(\d*?)0+(?= )/, (_, kept) => (kept ? `.${kept}` : ""));

export const rate = (n) => `${bytes(n)}/s`;

export const percent = (n) => `${Math.round(n)} %`;

export const load = (n) => n.toFixed(2);

/** Local time of day of a moment in milliseconds since 1970. */
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

/** A span of time as people say it: 80 ms, 1.4 s, 3 min. */
export function span(ms) {
  if (ms < 995) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 9_950 ? 1 : 0)} s`;
  return `${Math.round(ms / 60_000)} min`;
}

export const count = (n) => n.toLocaleString("en-GB");
