import type { Connection } from "./connection";

/** Away for longer than this, a page looks whether its line is still alive. */
const AWAY_MS = 5_000;

/** Let the connection know what happens to the page it lives in. */
export function followPage(connection: Connection): void {
  addEventListener("online", () => connection.networkChanged());
  addEventListener("offline", () => connection.probe());
  if (typeof document === "undefined") return;
  let hiddenMs = Infinity;
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") hiddenMs = Date.now();
    else if (Date.now() - hiddenMs > AWAY_MS) connection.wake();
  });
  document.addEventListener("resume", () => connection.wake());
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted) connection.wake();
  });
  addEventListener("pagehide", ({ persisted }) => {
    if (persisted) connection.suspend();
    else connection.bye();
  });
}
