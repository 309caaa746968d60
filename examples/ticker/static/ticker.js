// Two readers of one state room, side by side: each a client of its own, as on two machines.
import { showStatus } from "/shared/status.js";
import { themeSwitch } from "/shared/theme.js";
import { count } from "/shared/units.js";
import { View } from "./view.js";

const WRITE_MS = 250;
const MARKET = "ticker/market";
const at = (id) => document.getElementById(id);

export function start(connect) {
  const desktop = connect();
  const phone = connect();
  const fast = new View(at("fast"), desktop.join(MARKET, { keep: 0 }));
  const slow = new View(at("slow"), phone.join(MARKET, { keep: 0, maxRate: 1 }));
  const views = [fast, slow];

  const tellRate = () => (at("slow-code").textContent = `room.setMaxRate(${slow.room.maxRate})`);
  tellRate();
  for (const button of document.querySelectorAll("[data-rate]")) {
    button.addEventListener("click", () => {
      for (const other of document.querySelectorAll("[data-rate]")) other.setAttribute("aria-pressed", String(other === button));
      slow.room.setMaxRate(button.dataset.rate ? Number(button.dataset.rate) : null).catch(console.warn);
      tellRate();
    });
  }

  at("freeze").addEventListener("click", async () => {
    at("freeze").disabled = true;
    try {
      const prices = await desktop.request("ticker/freeze", null, { timeoutMs: 3000 });
      await Promise.all(views.map((view) => view.check(prices)));
    } catch (error) {
      for (const view of views) view.judge("broken", `Not frozen: ${error.message}`);
    } finally {
      at("freeze").disabled = false;
    }
  });

  // Every other frame is enough for a glow, and kind to batteries.
  const draw = (odd) => {
    if (odd) for (const view of views) view.draw();
    requestAnimationFrame(() => draw(!odd));
  };
  draw(true);
  setInterval(() => {
    const rate = fast.marketRate();
    at("rate").textContent = rate === null ? "–" : count(rate);
    for (const view of views) view.write(rate);
  }, WRITE_MS);
  showStatus(desktop);
  themeSwitch(at("theme"), () => views.forEach((view) => view.recolour()));
  // For the tests of this page, and for the curious.
  globalThis.ticker = { desktop, phone, fast, slow };
}
