// The visitor's name, the same on every page.

/** A name like "calm otter", so that nobody has to think of one. */
function newcomer() {
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  const manner = pick(["calm", "bright", "quick", "quiet", "kind", "brave", "merry", "keen"]);
  return `${manner} ${pick(["otter", "heron", "fox", "wren", "hare", "seal", "finch", "lynx"])}`;
}

/** Fill the field with the visitor's name, and call `told(name)` with it now and whenever they change it. */
export function askName(field, told) {
  const set = (name) => {
    field.value = name;
    try {
      localStorage.setItem("name", name);
    } catch {
      // Storage is closed to this page: the name lasts until it is left.
    }
    told(name);
  };
  let known = null;
  try {
    known = localStorage.getItem("name");
  } catch {
    // As above.
  }
  set(known || newcomer());
  field.addEventListener("change", () => set(field.value.trim() || newcomer()));
}
