// The job that is being watched.
import { count } from "/shared/units.js";
import { ended, percent, sentence } from "./words.js";

const SAID = 40;
const at = (id) => document.getElementById(id);

export class Detail {
  number = null;
  #card;
  #publications = 0;

  constructor(card) {
    this.#card = card;
  }

  clear(number) {
    this.number = number;
    this.#publications = 0;
    at("job-title").textContent = `Job ${number}`;
    at("result").hidden = true;
    at("stream").replaceChildren();
    at("watch").textContent = at("watch").textContent.replace(/jobs\/\w+$/, `jobs/${number}`);
  }

  show(job, publication) {
    this.#publications += 1;
    this.#said(publication);
    this.#card.dataset.state = ended(job) ? job.state : "running";
    at("job-title").textContent = `Job ${job.number} · ${job.work}`;
    at("job-percent").textContent = percent(job);
    at("job-bar").value = percent(job);
    at("job-state").textContent = job.state === "counting" ? job.file : sentence(job);
    at("job-files").textContent = job.total ? `${count(job.done)} of ${count(job.total)}` : "–";
    at("job-lines").textContent = count(job.lines);
    at("job-publications").textContent = count(this.#publications);
    at("cancel").hidden = ended(job);
    at("result").hidden = !job.longest;
    if (job.longest) this.#result(job.longest);
  }

  /** The room was refused or ended. */
  gone(error) {
    this.#card.dataset.state = "gone";
    at("job-state").textContent = error?.code === "unknown_job" ? "The server knows it no more" : (error?.message ?? "It is gone");
    at("cancel").hidden = true;
  }

  #said({ event, data }) {
    const line = document.createElement("li");
    const name = document.createElement("b");
    name.textContent = event;
    const rest = document.createElement("span");
    rest.textContent = JSON.stringify(data);
    line.append(name, rest);
    at("stream").prepend(line);
    if (at("stream").children.length > SAID) at("stream").lastChild.remove();
  }

  #result(longest) {
    const [[, most]] = longest;
    at("longest").replaceChildren(
      ...longest.map(([file, lines]) => {
        const item = document.createElement("li");
        const bar = document.createElement("i");
        bar.style.inlineSize = `${(lines * 100) / most}%`;
        const name = document.createElement("span");
        name.textContent = file;
        const number = document.createElement("b");
        number.textContent = count(lines);
        item.append(bar, name, number);
        return item;
      }),
    );
  }
}
