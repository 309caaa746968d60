// What is said. A line is shown at once, marked as on its way, and takes its place when it comes back from the room.
import { face, hue } from "/shared/people.js";

const KEPT = 300;
const TOGETHER_SECONDS = 120;

export class Lines {
  #list;
  #me;
  #onTheWay = new Map();
  #last = null;

  constructor(list, me) {
    this.#list = list;
    this.#me = me;
  }

  /** Show a line of the room. */
  add(line) {
    this.#onTheWay.get(line.key)?.remove();
    this.#onTheWay.delete(line.key);
    const next = line.user !== null && line.user === this.#last?.user && line.name === this.#last.name && line.at - this.#last.at < TOGETHER_SECONDS;
    this.#last = line;
    this.#put(this.#item(line, next));
    while (this.#list.children.length > KEPT) this.#list.firstChild.remove();
  }

  /** Show a line that is on its way to the room; return its element. */
  expect(line) {
    const item = this.#item(line, line.user === this.#last?.user && line.name === this.#last.name);
    item.classList.add("on-the-way");
    this.#put(item, null);
    this.#onTheWay.set(line.key, item);
    return item;
  }

  /** Say something about the lines themselves. */
  note(text) {
    const item = document.createElement("li");
    item.className = "note";
    item.textContent = text;
    this.#put(item);
    this.#last = null;
  }

  /** What is still on its way stays below what everybody has seen. */
  #put(item, before = this.#onTheWay.values().next().value ?? null) {
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 80;
    this.#list.insertBefore(item, before);
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #item({ user, name, text, at }, next) {
    const item = document.createElement("li");
    item.className = `hue${hue(user)}`;
    item.classList.toggle("mine", user === this.#me);
    item.classList.toggle("next", next);
    const who = document.createElement("p");
    const by = document.createElement("b");
    by.textContent = name;
    const when = document.createElement("time");
    const moment = new Date(at * 1000);
    when.dateTime = moment.toISOString();
    when.textContent = moment.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
    who.append(by, " ", when);
    const said = document.createElement("span");
    said.className = "said";
    said.textContent = text;
    item.append(face(user, name), who, said);
    return item;
  }
}
