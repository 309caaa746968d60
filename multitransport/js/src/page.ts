import type { Connection } from "./connection";

/** Away for longer than this, a page looks whether its line is still alive. */
const AWAY_MS = 5_000;

/** Let the connection know what happens to the page it lives in, as long as it lives. */
export function followPage(connection: Connection): void {
  const { signal } = connection.over;
  const wake = () => connection.wake();
  addEventListener("online", () => connection.networkChanged(), { signal });
  addEventListener("offline", () => connection.probe(), { signal });
  if (typeof document === "undefined") return;
  let hiddenMs = Infinity;
  const seen = () => {
    if (document.visibilityState === "hidden") hiddenMs = Date.now();
    else if (Date.now() - hiddenMs > AWAY_MS) wake();
  };
  document.addEventListener("visibilitychange", seen, { signal });
  document.addEventListener("resume", wake, { signal });
  addEventListener("pageshow", ({ persisted }) => persisted && wake(), { signal });
  addEventListener(
    "pagehide",
    ({ persisted }) => {
      if (!persisted) connection.bye();
      // After a farewell nothing may follow: a poll that overtakes it would make it one of the past.
      connection.suspend();
    },
    { signal },
  );
}
