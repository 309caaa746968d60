// Which transport next? Pure functions of what was observed.
import type { TransportName } from "./api";

/**
 * How an attempt to carry the session came out.
 *
 * `good`: it proved itself and lasted. `failed`: no welcome. `died`: it opened, and ended before it proved itself or soon after. `buffered`: an
 * event stream that began, but whose events are held back. `refused`: the server does not allow it.
 *
 * What says nothing about a transport is no trial: the server stopping, the browser offline, our own will.
 */
export type Outcome = "good" | "failed" | "died" | "buffered" | "refused";

export interface Trial {
  readonly transport: TransportName;
  readonly outcome: Outcome;
  readonly atMs: number;
  /** Another transport worked at that moment, so neither the network nor the server was to blame. */
  readonly beside: boolean;
}

export interface Facts {
  /** The transports that may be used, the best first. */
  readonly allowed: readonly TransportName[];
  /** Oldest first. */
  readonly trials: readonly Trial[];
  /** What worked on an earlier page. */
  readonly remembered: TransportName | null;
}

export interface Choice {
  readonly transport: TransportName;
  /** It was not tried since something worked: no need to wait. */
  readonly atOnce: boolean;
}

const DEATHS = 3;
const RECHECK_MS = 1_000;
const RETRY_MS = 60_000;
const LONGEST_RETRY_MS = 1_800_000;

/** Return 0 for a transport that may work, else how many trials speak against it since it was ruled out. */
export function strikes(trials: readonly Trial[], transport: TransportName): number {
  let [deaths, count] = [0, 0];
  for (const trial of trials) {
    if (trial.transport !== transport) continue;
    if (trial.outcome === "good") deaths = count = 0;
    else if (count) count += 1;
    else if (trial.beside || trial.outcome === "buffered" || trial.outcome === "refused") count = 1;
    else if (trial.outcome === "died" && ++deaths === DEATHS) count = 1;
  }
  return count;
}

const refused = (trials: readonly Trial[], transport: TransportName): boolean =>
  trials.some((trial) => trial.transport === transport && trial.outcome === "refused");

/** The transports worth trying, the best first. When none is left, all that the server allows. */
function candidates({ allowed, trials }: Facts): TransportName[] {
  const permitted = allowed.filter((transport) => !refused(trials, transport));
  const usable = permitted.filter((transport) => !strikes(trials, transport));
  return usable.length ? usable : permitted;
}

/** Return what to try when nothing carries the session; null where the server allows none of the transports. */
export function choose(facts: Facts): Choice | null {
  const { allowed, trials, remembered } = facts;
  const open = candidates(facts);
  const lastGood = trials.findLast((trial) => trial.outcome === "good");
  const since = lastGood ? trials.slice(trials.lastIndexOf(lastGood) + 1) : trials;
  const last = since.at(-1);
  const favourite = open.find((transport) => transport === (lastGood?.transport ?? remembered)) ?? open[0];
  if (!favourite) return null;
  if (!last) return { transport: favourite, atOnce: false };
  // One that opens gets its three chances; one that was good before gets a second.
  const failures = since.filter((trial) => trial.transport === last.transport).length;
  const excused = last.outcome === "failed" && failures === 1 && last.transport === lastGood?.transport;
  if ((excused || last.outcome === "died") && open.includes(last.transport)) {
    return { transport: last.transport, atOnce: false };
  }
  const rank = allowed.indexOf(last.transport);
  const transport = open.find((each) => allowed.indexOf(each) > rank) ?? open[0] ?? favourite;
  return { transport, atOnce: !since.some((trial) => trial.transport === transport) };
}

/** Return what to try beside a transport that is slow to come up, if anything. */
export function hedge(facts: Facts, slow: TransportName): TransportName | null {
  const rank = facts.allowed.indexOf(slow);
  return candidates(facts).find((transport) => facts.allowed.indexOf(transport) > rank) ?? null;
}

/** Return the better transport to try in the background and when, while `current` carries the session. */
export function upgrade(
  facts: Facts,
  current: TransportName,
  currentSinceMs: number,
): { transport: TransportName; atMs: number } | null {
  const { allowed, trials } = facts;
  const better = allowed.slice(0, Math.max(0, allowed.indexOf(current))).filter((each) => !refused(trials, each));
  const plans = better.map((transport) => {
    const last = trials.findLast((trial) => trial.transport === transport);
    const count = strikes(trials, transport);
    // It failed when nothing else was known to work: look again at once, now that something does.
    const fresh = !count && last !== undefined && last.outcome !== "good";
    const wait = fresh ? RECHECK_MS : Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** Math.max(0, count - 1));
    return { transport, atMs: Math.max(currentSinceMs, last?.atMs ?? 0) + wait };
  });
  return plans.sort((a, b) => a.atMs - b.atMs)[0] ?? null;
}
