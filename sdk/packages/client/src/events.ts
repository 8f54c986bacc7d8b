/** Telling a program what happened: handlers by the name of an event. */

export type Handler<Value> = (value: Value) => void;

/**
 * Calls the handlers of its events, each with the event's value; `Events` maps names to types of values. A handler that
 * throws is reported as an uncaught error and disturbs nobody else.
 */
export class Emitter<Events> {
  readonly #handlers: Map<keyof Events, readonly Handler<never>[]> = new Map();

  /** Calls `handler` whenever the event happens; the function that is returned takes that back. */
  on<Name extends keyof Events>(event: Name, handler: Handler<Events[Name]>): () => void {
    this.#handlers.set(event, [...(this.#handlers.get(event) ?? []), handler]);
    return () => this.off(event, handler);
  }

  /** Takes back one `on`; does nothing if there was none. */
  off<Name extends keyof Events>(event: Name, handler: Handler<Events[Name]>): void {
    const handlers = this.#handlers.get(event) ?? [];
    const index = handlers.indexOf(handler);
    if (index >= 0) this.#handlers.set(event, handlers.toSpliced(index, 1));
  }

  /** Whether anybody would notice the event: its value need not be made otherwise. */
  protected isObserved(event: keyof Events): boolean {
    return Boolean(this.#handlers.get(event)?.length);
  }

  protected emit<Name extends keyof Events>(event: Name, value: Events[Name]): void {
    for (const handler of this.#handlers.get(event) ?? []) {
      try {
        (handler as Handler<Events[Name]>)(value);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

/** As the browser's function of this name, which Node does not have. */
function reportError(error: unknown): void {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
