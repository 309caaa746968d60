// Who is typing: told by publications that nobody keeps, and forgotten a moment after the last of them.

const TELL_MS = 2000;
const FORGET_MS = 4000;

/** Call `send` while the visitor writes into `field`, now and then. */
export function tell(field, send) {
  let toldAt = -Infinity;
  field.addEventListener("input", () => {
    if (!field.value || performance.now() - toldAt < TELL_MS) return;
    toldAt = performance.now();
    send();
  });
  field.form.addEventListener("submit", () => (toldAt = -Infinity));
}

/** Show in `text` who is typing in the room, and mark `line` while somebody is. */
export function hear(room, line, text) {
  const typing = new Map();
  const show = () => {
    const names = [...typing.values()].map(({ name }) => name);
    line.classList.toggle("shown", names.length > 0);
    if (names.length) text.textContent = names.length > 2 ? "Several people are typing" : `${names.join(" and ")} ${names.length > 1 ? "are" : "is"} typing`;
  };
  const forget = (user) => {
    clearTimeout(typing.get(user)?.timer);
    typing.delete(user);
    show();
  };
  room.on("typing", ({ user, name }) => {
    forget(user);
    typing.set(user, { name, timer: setTimeout(forget, FORGET_MS, user) });
    show();
  });
  room.on("line", ({ user }) => forget(user));
}
