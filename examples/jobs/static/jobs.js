// The page: starts jobs, shows the list of all, watches one, and answers when the server asks.
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";
import { ask } from "./ask.js";
import { Detail } from "./detail.js";
import { List } from "./list.js";
import { ended } from "./words.js";

const at = (id) => document.getElementById(id);

export function start(rt) {
  const detail = new Detail(at("job"));
  const list = new List(at("list"), (number) => watch(number));
  let watched = null;

  // The list's room holds the newest of each job, so whoever comes late sees the same as everybody.
  rt.join("jobs/list", { keep: 0 })
    .on("job", (job, { key, deleted }) => {
      if (deleted) return list.remove(key);
      list.show(job);
      // There is room for another one.
      if (ended(job)) at("problem").textContent = "";
    })
    // A server that began anew knows other jobs, and tells all of them.
    .onGap(() => list.clear());

  function watch(number) {
    if (watched?.name === `jobs/${number}`) return;
    watched?.leave().catch(() => {});
    list.mark(number);
    detail.clear(number);
    // A job's room holds its story from the start.
    watched = rt.join(`jobs/${number}`, { keep: 0 });
    watched.on("*", (job, publication) => detail.show(job, publication));
    watched.onLeft((error) => detail.gone(error));
  }

  const tell = (error) => (at("problem").textContent = error.message);
  for (const button of document.querySelectorAll("[data-work]")) {
    button.addEventListener("click", async () => {
      at("problem").textContent = "";
      await rt.request("jobs/start", button.dataset.work).then(watch, tell);
    });
  }
  at("cancel").addEventListener("click", () => rt.send("jobs/cancel", detail.number).catch(tell));
  rt.handle("jobs/confirm", ({ total, work }) => ask(`${work} has ${total.toLocaleString("en-GB")} files. Count them all?`));

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(at(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }
  showStatus(rt);
  themeSwitch(at("theme"), () => {});
  // For the tests of this page, and for the curious.
  globalThis.jobs = { rt, watch };
}
