import { exchange } from "./http";
import { Sender } from "./sender";
import type { Opener } from "./transport";

/** How long a poll may be held. */
export const HOLD_SECONDS = 25;
const ANSWER_MS = 10_000;
/** The least time from one poll to the next; a busy room fills each with more instead. */
const PACE_MS = 50;

export const openPoll: Opener = (base, link) => {
  const abort = new AbortController();
  const sender = new Sender(`${base}send`, link, abort.signal);
  let held: AbortController | undefined;
  const poll = async () => {
    // A server that stops may close a connection under a request: the next one goes elsewhere.
    let failed = true;
    // The first answer comes at once, so that the session is known to be carried.
    for (let wait = 0; !abort.signal.aborted; wait = held?.signal.aborted ? 0 : HOLD_SECONDS) {
      const beganMs = Date.now();
      held = new AbortController();
      const stop = () => held?.abort();
      abort.signal.addEventListener("abort", stop, { once: true });
      try {
        const frames = await exchange(`${base}poll`, link.hello(wait), held.signal, wait * 1_000 + ANSWER_MS);
        if (frames[0]?.[0] !== "welcome" && frames[0]?.[0] !== "close") throw new TypeError("not an answer to a poll");
        if (!abort.signal.aborted) link.heard(frames);
        failed = false;
      } catch (error) {
        if (!held.signal.aborted) {
          if (failed) throw error;
          failed = true;
        }
      }
      abort.signal.removeEventListener("abort", stop);
      const early = beganMs + PACE_MS - Date.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    }
  };
  void poll().catch(() => link.ended());
  return {
    get busy() {
      return sender.busy;
    },
    send: (lines) => sender.send(lines),
    poke: () => held?.abort(),
    close: () => abort.abort(),
  };
};
