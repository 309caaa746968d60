// The list of all jobs, the newest first.
import { ended, percent, sentence } from "./words.js";

export class List {
  #list;
  #choose;
  #items = new Map();
  #marked = null;

  /** `choose(number)` is called when the visitor picks a job. */
  constructor(list, choose) {
    this.#list = list;
    this.#choose = choose;
  }

  show(job) {
    const key = String(job.number);
    let item = this.#items.get(key);
    if (!item) {
      item = this.#make(job);
      this.#items.set(key, item);
      const older = [...this.#list.children].find((other) => Number(other.dataset.number) < job.number);
      this.#list.insertBefore(item, older ?? null);
      if (key === this.#marked) this.mark(key);
    }
    const [, state, bar] = item.firstChild.children;
    item.dataset.state = ended(job) ? job.state : "running";
    state.textContent = sentence(job);
    bar.firstChild.style.inlineSize = `${percent(job)}%`;
  }

  remove(key) {
    this.#items.get(key)?.remove();
    this.#items.delete(key);
  }

  clear() {
    for (const key of [...this.#items.keys()]) this.remove(key);
  }

  /** Mark the job that is being watched. */
  mark(number) {
    this.#marked = String(number);
    for (const [key, item] of this.#items) item.firstChild.ariaCurrent = key === this.#marked ? "true" : null;
  }

  #make({ number, work }) {
    const item = document.createElement("li");
    item.dataset.number = number;
    const button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("b");
    name.textContent = `${number} · ${work}`;
    const bar = document.createElement("i");
    bar.append(document.createElement("i"));
    button.append(name, document.createElement("span"), bar);
    button.addEventListener("click", () => this.#choose(number));
    item.append(button);
    return item;
  }
}
