import { RequestError } from "./errors";

const MOST_WAITING = 1_000;

/** What comes, one after another, for a loop to take. One that falls too far behind gets what is kept, and then an error. */
export class Feed<Value> implements AsyncIterableIterator<Value, undefined> {
  #values: Value[] = [];
  #waiting: ((next: Promise<IteratorResult<Value, undefined>>) => void)[] = [];
  #over = false;
  #error: Error | null = null;

  constructor(readonly stopped: (feed: Feed<Value>) => void) {}

  push(value: Value): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(Promise.resolve({ value, done: false }));
    else if (this.#values.length < MOST_WAITING) this.#values.push(value);
    else this.end(new RequestError("queue_full", `more than ${MOST_WAITING} publications wait for this loop`));
  }

  /** Nothing comes any more, for a reason or not. */
  end(error: Error | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.stopped(this);
    for (const waiting of this.#waiting.splice(0)) waiting(this.next());
  }

  next(): Promise<IteratorResult<Value, undefined>> {
    const [value] = this.#values;
    if (value !== undefined) {
      this.#values.shift();
      return Promise.resolve({ value, done: false });
    }
    const error = this.#error;
    this.#error = null;
    if (error) return Promise.reject(error);
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Value, undefined>> {
    this.#values = [];
    this.end(null);
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
