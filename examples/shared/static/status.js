// The pill in the header: what the client says of itself, in words.
import { clock } from "./units.js";

export const TRANSPORTS = { websocket: "WebSocket", sse: "SSE", poll: "long poll" };
const SWITCH_MS = 400;
const WRITE_MS = 250;

export class StatusPill {
  #rt;
  #pill = document.getElementById("status");
  #text = document.getElementById("status-text");
  #more = document.getElementById("status-more");
  #toldAt = Date.now();
  #showing;

  constructor(rt) {
    this.#rt = rt;
    rt.on("status", () => {
      this.#toldAt = Date.now();
      clearTimeout(this.#showing);
      // A switch takes a moment in which nothing carries the session. Nobody needs to be told of that.
      const { state, offlineSinceMs } = rt.status;
      const broken = (state === "connecting" || state === "offline") && offlineSinceMs !== null;
      const left = broken ? offlineSinceMs + SWITCH_MS - Date.now() : 0;
      if (left > 0) this.#showing = setTimeout(() => this.#show(), left);
      else this.#show();
    });
    this.#show();
    setInterval(() => this.#count(), WRITE_MS);
  }

  #show() {
    const { state, transport, catchingUp, reason, offlineSinceMs } = this.#rt.status;
    this.#pill.dataset.state = state;
    if (state === "live") this.#text.textContent = catchingUp ? "Catching up" : `Live over ${TRANSPORTS[transport]}`;
    else if (state === "closed") this.#text.textContent = `Ended: ${reason}`;
    else this.#text.textContent = offlineSinceMs === null ? "Connecting" : `Offline since ${clock(offlineSinceMs)}`;
    this.#count();
  }

  #count() {
    const { state, retryInMs, offlineSinceMs } = this.#rt.status;
    // What is shown may lag behind a switch: then there is nothing to count yet.
    if (state !== this.#pill.dataset.state) return;
    const waiting = state === "offline" ? Math.ceil((this.#toldAt + retryInMs - Date.now()) / 1000) : 0;
    const again = waiting > 0 ? `, trying again in ${waiting} s` : ", trying again now";
    this.#more.textContent = state === "live" || state === "closed" || offlineSinceMs === null ? "" : again;
  }
}
