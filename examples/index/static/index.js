// How many people are where, as it changes.
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";

export function start(rt) {
  const room = rt.join("examples/people");
  room.on("people", (count, { key }) => {
    const badge = document.querySelector(`[data-example=${key}] .people`);
    badge.textContent = count ? `${count} here now` : "Nobody here";
    badge.classList.toggle("some", count > 0);
  });
  showStatus(rt);
  themeSwitch(document.getElementById("theme"), () => {});
  // For the tests of this page, and for the curious.
  globalThis.index = { rt, room };
}
