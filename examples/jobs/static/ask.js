// A question of the server, as a dialog: one at a time, in the order they came.

const dialog = document.getElementById("ask");
let before = Promise.resolve();

/** Ask the visitor; true for yes. */
export function ask(question) {
  const answer = before.then(() => show(question));
  before = answer;
  return answer;
}

function show(question) {
  document.getElementById("question").textContent = question;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
