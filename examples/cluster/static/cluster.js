// The page: hears the nodes tick, asks which of them speaks for this tab, and shows the map of all.
import { askName } from "/shared/name.js";
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";
import { Control } from "./control.js";
import { ClusterMap } from "./map.js";
import { Tab } from "./tab.js";

const WRITE_MS = 250;
// Each poll goes to another node, which the client has no reason to tell.
const POLLED_MS = 1500;

const at = (id) => document.getElementById(id);

export function start(rt) {
  const tab = new Tab(rt);
  const map = new ClusterMap({ nodes: at("nodes"), redis: at("redis"), away: at("away") });
  const room = rt.join("cluster/ticks", { history: 0, keep: 0 });
  const problem = (error) => (at("problem").textContent = error?.message ?? "");

  room.on("tick", (tick) => tab.heard(tick));
  room.onGap(({ lost }) => tab.lost(lost));
  const show = () => map.showTabs(tabsOf(room.presence, rt.status, tab.node), rt.status.session);
  room.onPresence(show);
  rt.on("status", show);

  const arrive = (node) => {
    tab.moved(node);
    show();
  };
  const ask = () => rt.request("cluster/here", at("name").value).then(arrive, problem);
  whenCarriedAnew(rt, ask);
  askName(at("name"), () => rt.status.state === "live" && ask());

  const control = new Control((state) => {
    if (state) map.showProcesses(state);
    problem(state ? null : new Error("The supervisor does not answer: was it stopped?"));
  });
  for (const button of document.querySelectorAll("[data-press]")) {
    button.addEventListener("click", () => {
      problem();
      tab.note(`You pressed “${button.textContent}” of ${button.dataset.press.split("/")[0].replace("-", " ")}`);
      control.press(button.dataset.press).catch(problem);
    });
  }
  setInterval(() => tab.write(), WRITE_MS);
  showStatus(rt);
  themeSwitch(at("theme"), () => {});
  // For the tests of this page, and for the curious.
  globalThis.cluster = { rt, room, tab, control };
}

/** Call `ask` whenever something else carries the session, be it the same transport on another node. */
function whenCarriedAnew(rt, ask) {
  let known = "";
  rt.on("status", ({ state, session, transport, reconnects }) => {
    const now = state === "live" ? `${session} ${transport} ${reconnects}` : "";
    if (now && now !== known) ask();
    known = now;
  });
  setInterval(() => {
    const { state, transport } = rt.status;
    if (state === "live" && transport === "poll") ask();
  }, POLLED_MS);
}

/** Every tab in the room, in an order that stays. */
function tabsOf(presence, status, node) {
  const tabs = [...presence.values()].flatMap(({ user, metas }) =>
    metas.map(({ session, transport, meta }) => ({ session, user, transport, name: meta?.name ?? "somebody", node: meta?.node ?? "" })),
  );
  // Of itself the page knows more than the server, of whom it may have heard nothing for a while.
  const own = tabs.find(({ session }) => session === status.session);
  if (own) Object.assign(own, { transport: status.transport, node: status.state === "live" ? node : "" });
  return tabs.sort((a, b) => a.name.localeCompare(b.name) || (a.session < b.session ? -1 : 1));
}
