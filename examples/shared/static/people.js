// Who is in a room with presence: one entry for each person, with what carries each of their tabs.
import { TRANSPORTS } from "./status.js";

/** A stable number from 0 to 7 for the class that gives a person their colour. */
export function hue(id) {
  let hash = 0x811c9dc5;
  for (const letter of String(id)) hash = Math.imul(hash ^ letter.codePointAt(0), 0x01000193);
  return (hash >>> 8) % 8;
}

/** A round picture: the first letter of a name in the colour of whose it is. */
export function face(id, name) {
  const picture = document.createElement("span");
  picture.className = `face hue${hue(id)}`;
  picture.ariaHidden = "true";
  picture.textContent = (name || "?")[0].toUpperCase();
  return picture;
}

/** Keep `list` the people in `room`, the visitor first; `told(count)` hears how many there are. */
export function showPeople(rt, room, list, told = () => {}) {
  const show = () => {
    const mine = ({ metas }) => metas.some(({ session }) => session === rt.status.session);
    const people = [...room.presence.values()].sort((a, b) => mine(b) - mine(a) || nameOf(a).localeCompare(nameOf(b)));
    list.replaceChildren(...people.map((member) => entry(member, mine(member), rt.status)));
    told(people.length);
  };
  room.onPresence(show);
  rt.on("status", show);
}

/** The name a person gave; that of the tab opened last, where they differ. */
function nameOf({ metas }) {
  return metas.at(-1)?.meta?.name ?? "somebody";
}

function entry(member, mine, { session: own, transport: carrier }) {
  const item = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = nameOf(member);
  const by = document.createElement("small");
  // What carries this very page it knows better than the server, of whom it may have heard nothing for a while.
  const tabs = member.metas.map(({ session, transport }) => TRANSPORTS[session === own ? carrier : transport] ?? "away");
  by.textContent = [...(mine ? ["you"] : []), ...tabs].join(" · ");
  const person = document.createElement("span");
  person.className = "person";
  person.append(name, by);
  item.append(face(member.user ?? member.id, nameOf(member)), person);
  return item;
}
