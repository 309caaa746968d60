import { decode, type ServerFrame } from "./frames";

const TYPE = "application/x-ndjson";

/** POST frames; `signal` gives up. */
export const post = (url: string, body: string, signal: AbortSignal): Promise<Response> =>
  fetch(url, { method: "POST", body, signal, headers: { "Content-Type": TYPE }, cache: "no-store" });

/** POST frames and return those of the answer: a refusal has one as well, `close`. Throws where nothing like it comes back in time. */
export async function exchange(url: string, body: string, signal: AbortSignal, limitMs: number): Promise<ServerFrame[]> {
  const abort = new AbortController();
  const stop = () => abort.abort();
  const timer = setTimeout(stop, limitMs);
  signal.addEventListener("abort", stop);
  try {
    const frames = decode(await (await post(url, body, abort.signal)).text());
    if (!frames.length) throw new TypeError("empty answer");
    return frames;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}

/** POST frames though the page may be gone before they are out; whether they arrive is not told. */
export function farewell(url: string, body: string): void {
  navigator.sendBeacon?.(url, new Blob([body], { type: TYPE }));
}
