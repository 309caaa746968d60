// The connection card: what carries the session, the buttons, the page's own check of the readings, and what happened.
import { TRANSPORTS } from "/shared/status.js";
import { clock, count, span } from "/shared/units.js";

const JOURNAL_LINES = 30;

const at = (id) => document.getElementById(id);

export class Connection {
  #rt;
  #room;
  #continuity;
  #state = "connecting";
  #transport = null;
  #brokenAt = null;
  /** What the page had before the line broke, until the next reading has come. */
  #before = null;

  constructor(rt, room, continuity) {
    this.#rt = rt;
    this.#room = room;
    this.#continuity = continuity;
    rt.on("status", (status) => this.#follow(status));
    this.#follow(rt.status);
    for (const button of document.querySelectorAll("[data-use]")) {
      button.addEventListener("click", () => this.#use(button));
    }
    at("cut").addEventListener("click", () => {
      this.note("You cut the line");
      rt.cut();
    });
  }

  /** Write what changes all the time; call it a few times a second. */
  write() {
    const { checked, gaps, duplicates, knownLost, unknownLosses } = this.#continuity;
    const position = this.#room.position;
    at("position").textContent = position ? `${position[0]}:${position[1]}` : "–";
    at("checked").textContent = count(checked);
    at("gaps").textContent = count(gaps);
    at("duplicates").textContent = count(duplicates);
    at("known-lost").textContent = unknownLosses ? `${knownLost ? `${count(knownLost)} + ` : ""}unknown` : count(knownLost);
    const verdict = gaps || duplicates ? "broken" : checked ? "whole" : "waiting";
    at("verdict").dataset.verdict = verdict;
    at("verdict-text").textContent = {
      broken: "Something was lost or repeated",
      whole: knownLost || unknownLosses ? "Nothing lost in silence" : "Nothing lost or repeated",
      waiting: "Waiting for readings",
    }[verdict];
  }

  /** A reading has come: after a break, say where the readings went on. */
  arrived(n) {
    if (this.#before === null) return;
    const { last, restarts } = this.#before;
    this.#before = null;
    const anew = restarts !== this.#continuity.restarts;
    const next = !anew && n === last + 1;
    this.note(`Went on with ${next ? "the very next reading, " : ""}number ${count(n)}${anew ? " of a sampler that started anew" : ""}`);
  }

  /** The server said that readings were lost, `lost` of them or null. */
  lost(lost) {
    this.note(lost === null ? "The server's log began anew: nobody knows what was missed" : `The server said that ${count(lost)} readings are lost`);
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

  #follow(status) {
    const { state, transport, session, roundTripMs, reconnects } = status;
    at("transport").textContent = transport ? TRANSPORTS[transport] : "none";
    at("session").textContent = session ?? "–";
    at("round-trip").textContent = roundTripMs == null ? "–" : span(roundTripMs);
    at("reconnects").textContent = count(reconnects);
    if (state !== this.#state || (state === "live" && transport !== this.#transport)) this.#changed(status);
    this.write();
  }

  #changed({ state, transport, reason }) {
    const before = this.#state;
    this.#state = state;
    if (state === "live") {
      const away = this.#brokenAt === null ? "" : `, after ${span(Date.now() - this.#brokenAt)}`;
      this.note(`Live over ${TRANSPORTS[transport]}${away}`);
      this.#transport = transport;
      this.#brokenAt = null;
    } else if (before === "live") {
      this.#brokenAt = Date.now();
      const { last, restarts } = this.#continuity;
      this.#before = { last, restarts };
    }
    if (state === "closed") this.note(`The server ended the session: ${reason}`);
  }
}
