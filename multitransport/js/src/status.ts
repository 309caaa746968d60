import type { Status } from "./api";

export type StatusChange = Partial<Omit<Status, "text" | "offlineSinceMs">>;

export const INITIAL: Status = {
  state: "connecting",
  text: "connecting",
  catchingUp: false,
  transport: null,
  session: null,
  attempt: 0,
  retryInMs: null,
  offlineSinceMs: null,
  roundTripMs: null,
  reconnects: 0,
  code: null,
  reason: "",
};

/** 24 hours, everywhere. */
const CLOCK = { hourCycle: "h23" } as const;
const NAMES = { websocket: "WebSocket", sse: "SSE", poll: "long poll" };

/** Return the next status. */
export function follow(former: Status, change: StatusChange, nowMs: number): Status {
  const next = { ...former, ...change };
  const live = next.state === "live";
  const lost = former.state === "live" || next.state === "offline";
  const offlineSinceMs = live ? null : (former.offlineSinceMs ?? (lost ? nowMs : null));
  const status = { ...next, catchingUp: live && next.catchingUp, offlineSinceMs };
  // One more attempt is no news.
  const text = next.state === "connecting" && former.text.startsWith("offline") ? former.text : words(status);
  return { ...status, text };
}

function words({ state, catchingUp, transport, offlineSinceMs, reason }: Status): string {
  if (state === "live" && transport) return catchingUp ? "catching up" : `live over ${NAMES[transport]}`;
  if (state === "offline" && offlineSinceMs !== null) return `offline since ${new Date(offlineSinceMs).toLocaleTimeString([], CLOCK)}`;
  return state === "closed" && reason ? `closed: ${reason}` : state;
}
