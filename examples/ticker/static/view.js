// One reader's view of the market: its tiles, its numbers, and whether it has come to see the truth.
import { Rate } from "./rate.js";
import { Tiles } from "./tiles.js";
import { count, span } from "/shared/units.js";

const MOVERS = 5;
const LOOK_MS = 20;
const PATIENCE_MS = 2900;

export class View {
  #card;
  #tiles;
  #received = new Rate();
  #market = new Rate();
  #change = 0;

  constructor(card, room) {
    this.#card = card;
    this.room = room;
    this.#tiles = new Tiles(card.querySelector("canvas"));
    for (let i = 0; i < MOVERS; i += 1) card.querySelector(".movers").append(mover());
    room.on("price", ([, percent, change], { key }) => {
      this.#received.add(1);
      this.#change = Math.max(this.#change, change);
      this.#tiles.set(key, percent);
    });
  }

  draw() {
    this.#tiles.draw();
  }

  recolour() {
    this.#tiles.recolour();
  }

  /** How many changes there are in the market a second, null in the first, by the numbers the server gives them. */
  marketRate() {
    return this.#market.of(this.#change);
  }

  /** Write the numbers, given the market's rate or null. */
  write(marketRate) {
    const received = this.#received.value();
    const show = { received, spared: marketRate === null || received === null ? null : Math.max(0, marketRate - received), keys: this.room.state.size };
    for (const [name, number] of Object.entries(show)) this.#card.querySelector(`[data-show=${name}]`).textContent = number === null ? "–" : count(number);
    const movers = [...this.room.state.values()].sort((a, b) => Math.abs(b.data[1]) - Math.abs(a.data[1])).slice(0, MOVERS);
    movers.forEach(({ key, data: [price, percent] }, i) => {
      const [name, at, by] = this.#card.querySelector(".movers").children[i].children;
      name.textContent = key;
      at.textContent = price.toFixed(2);
      by.textContent = `${percent > 0 ? "+" : "−"}${Math.abs(percent).toFixed(1)} %`;
      by.className = percent > 0 ? "up" : "down";
    });
  }

  /** Wait until every price here is what the frozen market says, or it must have gone on; say which. */
  async check(prices) {
    const began = performance.now();
    const names = Object.keys(prices);
    const right = () => names.filter((name) => this.room.state.get(name)?.data[0] === prices[name]).length;
    this.judge("waiting", "Looking …");
    while (right() < names.length && performance.now() - began < PATIENCE_MS) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const whole = right() === names.length;
    const when = span(performance.now() - began);
    this.judge(whole ? "whole" : "broken", whole ? `All ${count(names.length)} latest prices are here, ${when} later` : `${count(right())} of ${count(names.length)} after ${when}`);
    return whole;
  }

  /** Say how it came out. */
  judge(verdict, text) {
    const line = this.#card.querySelector(".verdict");
    line.dataset.verdict = verdict;
    line.lastElementChild.textContent = text;
  }
}

function mover() {
  const item = document.createElement("li");
  item.append(document.createElement("b"), document.createElement("span"), document.createElement("span"));
  return item;
}
