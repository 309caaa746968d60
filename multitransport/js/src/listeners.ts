/** Listeners by event. One that throws stops neither the others nor what called them. */
export class Listeners<Values extends unknown[]> {
  readonly #byEvent = new Map<string, Set<(...values: Values) => void>>();

  add(event: string, listener: (...values: Values) => void): void {
    this.#byEvent.set(event, (this.#byEvent.get(event) ?? new Set()).add(listener));
  }

  remove(event: string, listener: (...values: Values) => void): void {
    this.#byEvent.get(event)?.delete(listener);
  }

  call(event: string, ...values: Values): void {
    for (const listener of this.#byEvent.get(event) ?? []) {
      try {
        listener(...values);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
