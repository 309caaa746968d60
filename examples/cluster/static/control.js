// What the supervisor says and does: it is there whatever becomes of the nodes and of Redis.

const LOOK_MS = 400;
const HEADERS = { "X-Control": "press" };

export class Control {
  #told;
  #known = null;

  /** `told(state)` is called with how things are whenever that has changed, and with null when nobody can say. */
  constructor(told) {
    this.#told = told;
    this.#look();
  }

  /** Do what a button says, such as `node-2/kill`; reject with an Error that says why it is not done. */
  async press(what) {
    const answer = await fetch(`/control/${what}`, { method: "POST", headers: HEADERS });
    if (!answer.ok) throw new Error(`The supervisor does not do it: ${answer.status}`);
    this.#tell(await answer.json());
  }

  async #look() {
    try {
      const answer = await fetch("/control/state", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      this.#tell(answer.ok ? await answer.json() : null);
    } catch {
      this.#tell(null);
    }
    setTimeout(() => this.#look(), document.hidden ? 10 * LOOK_MS : LOOK_MS);
  }

  #tell(state) {
    const known = JSON.stringify(state);
    if (known === this.#known) return;
    this.#known = known;
    this.#told(state);
  }
}
