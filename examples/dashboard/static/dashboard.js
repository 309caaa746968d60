// The page: joins the room of the readings, checks them, and hands them to the charts.
import { askName } from "/shared/name.js";
import { showPeople } from "/shared/people.js";
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";
import * as units from "/shared/units.js";
import { Chart } from "./chart.js";
import { Connection } from "./connection.js";
import { Continuity } from "./continuity.js";
import { History } from "./history.js";
import { Processes } from "./processes.js";
import { Talk } from "./talk.js";

const WRITE_MS = 250;
const CALM_MS = 1000;
const PING_MS = 3000;

/** Start the page over a connection, for a machine of `{cores, memory in MB}`. */
export function start(rt, machine) {
  const history = new History(machine.cores + 8);
  const continuity = new Continuity();
  const charts = makeCharts(history, machine);
  const processes = new Processes(document.getElementById("processes"));
  // The history has the readings already: the room need not keep them as well.
  const room = rt.join("system/local", { keep: 0 });
  const connection = new Connection(rt, room, continuity);
  showStatus(rt);
  new Talk(rt.join("system/chat"));
  showPeople(rt, room, document.getElementById("people"));
  askName(document.getElementById("chat-name"), (name) => room.setPresence({ name }).catch(console.error));

  const redraw = oncePerFrame(() => charts.forEach((chart) => chart.draw()));
  room.onGap((gap) => {
    continuity.tell(gap.lost);
    connection.lost(gap.lost);
  });
  room.on("reading", (reading) => {
    if (!continuity.accept(reading)) return;
    connection.arrived(reading.n);
    const cores = Array.from({ length: machine.cores }, (_, i) => reading.c[i] ?? null);
    history.add(reading.t / 1000, [...cores, reading.m * 1e6, ...reading.d, ...reading.w, ...reading.l]);
    if (reading.p) processes.show(reading.p);
    redraw();
  });
  // Numbers that change ten times a second cannot be read.
  setInterval(() => {
    charts.forEach((chart) => chart.write());
    connection.write();
  }, WRITE_MS);
  setInterval(() => {
    if (!document.hidden) rt.ping();
  }, PING_MS);
  themeSwitch(document.getElementById("theme"), () => charts.forEach((chart) => chart.recolour()));
  // For the tests of this page, and for the curious.
  globalThis.dashboard = { rt, room, continuity, history };
}

/** Calls of the function returned lead to at most one call of `draw` in each frame, or a second for who wants little motion. */
function oncePerFrame(draw) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let asked = false;
  const run = () => {
    asked = false;
    draw();
  };
  return () => {
    if (asked) return;
    asked = true;
    if (calm.matches) setTimeout(run, CALM_MS);
    else requestAnimationFrame(run);
  };
}

function makeCharts(history, machine) {
  const { bytes, load, percent, rate, tick } = units;
  const n = machine.cores;
  const total = machine.memory * 1e6;
  const card = (id) => document.getElementById(id);
  const mean = (values) => values.reduce((sum, value) => sum + (value ?? 0), 0) / values.length;
  return [
    new Chart(card("cpu"), history, [0, n], {
      format: percent,
      axis: percent,
      top: 100,
      fill: n <= 4,
      headline: (values) => percent(mean(values)),
    }),
    new Chart(card("memory"), history, [n, 1], {
      format: bytes,
      axis: tick,
      top: total,
      fill: true,
      headline: ([used]) => percent((100 * used) / total),
    }),
    new Chart(card("disk"), history, [n + 1, 2], {
      format: rate,
      axis: tick,
      least: 10_000,
      fill: true,
      headline: ([read, written]) => rate(read + written),
    }),
    new Chart(card("network"), history, [n + 3, 2], {
      format: rate,
      axis: tick,
      least: 10_000,
      fill: true,
      headline: ([received, sent]) => rate(received + sent),
    }),
    new Chart(card("load"), history, [n + 5, 3], {
      format: load,
      axis: (n) => String(n),
      least: 1,
      fill: false,
      headline: ([one]) => load(one),
    }),
  ];
}
