// The map: how each node and Redis are, and the tabs on each node, which fly where they go.
import { face } from "/shared/people.js";
import { TRANSPORTS } from "/shared/status.js";

const STATES = {
  starting: "starting",
  up: "up",
  unready: "not ready",
  draining: "draining",
  killed: "killed",
  stopped: "stopped",
  crashed: "crashed",
};
const FLIGHT = { duration: 450, easing: "cubic-bezier(.3, 0, .2, 1)" };

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class ClusterMap {
  #nodes;
  #redis;
  #away;
  #chips = {};

  constructor({ nodes, redis, away }) {
    this.#nodes = Object.fromEntries([...nodes.children].map((card) => [card.dataset.name.split(" ")[1], card]));
    this.#redis = redis;
    this.#away = away;
  }

  /** Show how the processes are. */
  showProcesses({ nodes, redis }) {
    for (const node of nodes) showProcess(this.#nodes[node.name.split(" ")[1]], node);
    showProcess(this.#redis, redis);
  }

  /** Show the tabs: each `{session, user, name, node, transport}`; the one with `own` for its session is this one. */
  showTabs(tabs, own) {
    const before = positions(this.#chips);
    const chips = {};
    const places = Object.fromEntries([...Object.keys(this.#nodes), ""].map((node) => [node, []]));
    for (const tab of tabs) {
      const chip = (chips[tab.session] = this.#chips[tab.session] ?? document.createElement("li"));
      fill(chip, tab, tab.session === own);
      places[tab.node in this.#nodes ? tab.node : ""].push(chip);
    }
    for (const [node, card] of Object.entries(this.#nodes)) {
      card.querySelector(".tabs").replaceChildren(...places[node]);
      const { length } = places[node];
      card.querySelector(".count").textContent = length === 1 ? "1 tab" : `${length} tabs`;
    }
    this.#away.querySelector(".tabs").replaceChildren(...places[""]);
    this.#away.hidden = places[""].length === 0;
    this.#chips = chips;
    if (!calm.matches) fly(chips, before);
  }
}

function showProcess(card, { state, fault, pid, port }) {
  const running = ["starting", "up", "unready", "draining"].includes(state);
  card.dataset.state = state;
  card.querySelector(".state").textContent = STATES[state];
  card.querySelector(".what").textContent = state === "unready" ? fault : running ? `port ${port}, process ${pid}` : `port ${port}`;
  const can = { kill: running, terminate: running && state !== "draining", restart: true, lose: true };
  for (const button of card.querySelectorAll("[data-press]")) {
    const action = button.dataset.press.split("/")[1];
    button.disabled = !can[action];
    if (action !== "kill" && action !== "terminate") button.textContent = button.textContent.replace(/^(Res|S)tart/, running ? "Restart" : "Start");
  }
}

function fill(chip, { user, session, name, transport }, own) {
  chip.classList.toggle("own", own);
  chip.classList.toggle("gone", transport === null);
  const said = document.createElement("b");
  said.textContent = name;
  const by = document.createElement("small");
  by.textContent = [...(own ? ["this tab"] : []), TRANSPORTS[transport] ?? "away"].join(" · ");
  const person = document.createElement("span");
  person.className = "person";
  person.append(said, by);
  chip.replaceChildren(face(user ?? session, name), person);
}

function positions(chips) {
  return Object.fromEntries(Object.entries(chips).map(([session, chip]) => [session, chip.getBoundingClientRect()]));
}

function fly(chips, before) {
  for (const [session, chip] of Object.entries(chips)) {
    const from = before[session];
    const to = chip.getBoundingClientRect();
    const [x, y] = from ? [from.x - to.x, from.y - to.y] : [0, 0];
    if (x || y) chip.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], FLIGHT);
    else if (!from) chip.animate([{ opacity: 0 }, { opacity: 1 }], FLIGHT);
  }
}
