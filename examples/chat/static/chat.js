// The page of one room: joins it where the server's rendering ends, and hands on what comes.
import { askName } from "/shared/name.js";
import { showPeople } from "/shared/people.js";
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";
import { Lines } from "./lines.js";
import { hear, tell } from "./typing.js";

const at = (id) => document.getElementById(id);

/** Start the page over a connection. `lines` are what was said up to `position`; `me` is the visitor. */
export function start(rt, { room: name, me, lines: said, position }) {
  const lines = new Lines(at("lines"), me);
  for (const line of said) lines.add(line);

  const room = rt.join(`chat/${name}`, { position });
  room.on("line", (line) => lines.add(line));
  room.onGap(({ lost }) => lines.note(lost === null ? "The server began anew: lines may be missing here" : "Some lines are too old to be shown"));

  showStatus(rt);
  themeSwitch(at("theme"), () => {});
  showPeople(rt, room, at("people"), (count) => (at("count").textContent = count));
  askName(at("name"), (mine) => room.setPresence({ name: mine }).catch(problem));
  hear(room, at("typing"), at("typing-text"));
  tell(at("text"), () => rt.send("chat/typing", { room: name, name: at("name").value }).catch(problem));

  at("say").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = at("text").value.trim();
    if (!text) return;
    const line = { room: name, name: at("name").value, text, key: crypto.getRandomValues(new Uint32Array(3)).join("-") };
    at("text").value = at("problem").textContent = "";
    const item = lines.expect({ ...line, user: me, at: Date.now() / 1000 });
    try {
      // Said while offline it is kept, and run once when the line is back.
      await rt.send("chat/say", line);
    } catch (error) {
      item.remove();
      problem(error);
      at("text").value ||= text;
    }
  });
  at("open").addEventListener("submit", (event) => {
    event.preventDefault();
    location.href = at("open-name").value;
  });
  // For the tests of this page, and for the curious.
  globalThis.chat = { rt, room };
}

function problem(error) {
  at("problem").textContent = `Not sent: ${error.message}`;
}
