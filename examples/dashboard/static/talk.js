// The chat: a line is shown at once, marked as on its way, and takes its place when it comes back from the room.

const LINES = 100;

export class Talk {
  #room;
  #list = document.getElementById("chat-lines");
  #name = document.getElementById("chat-name");
  #text = document.getElementById("chat-text");
  #problem = document.getElementById("chat-problem");
  #onTheWay = new Map();

  constructor(room) {
    this.#room = room;
    document.getElementById("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#say();
    });
    room.on("line", (line) => this.#arrived(line));
  }

  async #say() {
    const text = this.#text.value.trim();
    if (!text) return;
    const line = { name: this.#name.value.trim() || "somebody", text, key: crypto.getRandomValues(new Uint32Array(2)).join("") };
    this.#text.value = "";
    this.#problem.textContent = "";
    const item = this.#add(line, null);
    item.classList.add("on-the-way");
    this.#onTheWay.set(line.key, item);
    try {
      await this.#room.publish("line", line);
    } catch (error) {
      item.remove();
      this.#onTheWay.delete(line.key);
      this.#problem.textContent = `Not sent: ${error.message}`;
      if (!this.#text.value) this.#text.value = text;
    }
  }

  #arrived(line) {
    this.#onTheWay.get(line.key)?.remove();
    this.#onTheWay.delete(line.key);
    this.#add(line);
    while (this.#list.children.length > LINES) this.#list.firstChild.remove();
  }

  /** What is still on its way stays below what everybody has seen. */
  #add({ name, text }, before = this.#onTheWay.values().next().value ?? null) {
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    const item = document.createElement("li");
    const who = document.createElement("b");
    who.textContent = name;
    item.append(who, text);
    this.#list.insertBefore(item, before);
    if (atEnd) this.#list.scrollTop = this.#list.scrollHeight;
    return item;
  }
}
