// Time that passes when a test lets it, in place of the clock and its timers.

interface Timer {
  dueMs: number;
  run: () => void;
}

const real = { setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now };
let nowMs = 0;
let timers = new Set<Timer>();

/** Take the clock's place. */
export function stopTime(): void {
  nowMs = 1_000_000;
  timers = new Set();
  const set = (run: () => void, ms = 0): Timer => {
    const timer = { dueMs: nowMs + Math.max(0, ms), run };
    timers.add(timer);
    return timer;
  };
  const clear = (timer?: Timer) => void (timer && timers.delete(timer));
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear });
  Date.now = () => nowMs;
}

export function releaseTime(): void {
  Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout });
  Date.now = real.now;
}

/** All of this time passes in which nothing can run; what was due then is late. */
export function sleep(ms: number): void {
  nowMs += ms;
  const due = [...timers].filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs);
  for (const timer of due) if (timers.delete(timer)) timer.run();
}

/** Let time pass, a little at a time as it does, with what follows from it. */
export async function pass(ms: number): Promise<void> {
  for (let left = ms; left >= 0; left -= 10) {
    sleep(Math.min(left, 10));
    for (let i = 0; i < 4; i += 1) await Promise.resolve();
  }
}
