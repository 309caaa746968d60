// This tab: where it is, what it has counted, and what happened.
import { TRANSPORTS } from "/shared/status.js";
import { clock, count, span } from "/shared/units.js";
import { Interruption } from "./interruption.js";
import { Ticks } from "./ticks.js";

const JOURNAL_LINES = 40;

const at = (id) => document.getElementById(id);

export class Tab {
  ticks = new Ticks();
  interruption = new Interruption();
  /** Where the tab is, as the node said that answered last. */
  node = null;
  #rt;
  #state = null;

  constructor(rt) {
    this.#rt = rt;
    rt.on("status", () => this.#follow());
    for (const button of document.querySelectorAll("[data-use]")) button.addEventListener("click", () => this.#use(button));
    this.write();
  }

  /** A tick has come. */
  heard(tick) {
    this.ticks.accept(tick);
    const pause = this.interruption.came();
    if (pause !== null) this.note(`Publications go on, after ${span(pause)}`);
  }

  /** The server said that publications were lost, `lost` of them or null. */
  lost(lost) {
    this.ticks.tell(lost);
    const text = lost === null ? "Redis lost its data: everybody was told" : `The server said that ${count(lost)} publications are lost`;
    this.note(text);
    at("told").textContent = text;
    at("told").hidden = false;
  }

  /** The tab is on this node now. */
  moved(node) {
    at("where").textContent = `node ${node}`;
    if (node === this.node) return;
    this.note(this.node === null ? `On node ${node}` : `Moved from node ${this.node} to node ${node}`);
    this.node = node;
  }

  /** Write what changes all the time; call it a few times a second. */
  write() {
    const { received, gaps, duplicates, knownLost, restarts } = this.ticks;
    at("publications").textContent = count(received);
    at("gaps").textContent = count(gaps);
    at("duplicates").textContent = count(duplicates);
    at("resumes").textContent = count(this.#rt.status.reconnects);
    at("known-lost").textContent = restarts ? `${knownLost ? `${count(knownLost)} + ` : ""}unknown` : count(knownLost);
    const { lastMs, at: over } = this.interruption;
    const lasting = this.interruption.lasting();
    at("interruption").textContent = lasting !== null ? `${span(lasting)} so far` : lastMs === null ? "none" : `${span(lastMs)}, at ${clock(over)}`;
    const verdict = gaps || duplicates ? "broken" : received ? "whole" : "waiting";
    at("verdict").dataset.verdict = verdict;
    at("verdict-text").textContent = {
      broken: "Something was lost or repeated",
      whole: knownLost || restarts ? "Nothing lost in silence" : "Nothing lost or repeated",
      waiting: "Waiting for publications",
    }[verdict];
  }

  /** Add a line to what happened. */
  note(text) {
    const line = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = clock(Date.now());
    line.append(time, text);
    at("journal").prepend(line);
    while (at("journal").children.length > JOURNAL_LINES) at("journal").lastChild.remove();
  }

  #use(button) {
    for (const other of document.querySelectorAll("[data-use]")) other.setAttribute("aria-pressed", String(other === button));
    const name = button.dataset.use;
    this.note(name ? `You asked for ${TRANSPORTS[name]}` : "You left the choice to the client");
    this.#rt.use(name ? [name] : ["websocket", "sse", "poll"]);
  }

  #follow() {
    const { state, transport, reason } = this.#rt.status;
    if (this.#state === "live" && state !== "live") {
      this.interruption.broke();
      at("where").textContent = "no node now";
    }
    if (this.#state !== "live" && state === "live") this.note(`Live over ${TRANSPORTS[transport]}`);
    if (this.#state !== state && state === "closed") this.note(`The server ended the session: ${reason}`);
    this.#state = state;
  }
}
