/** Telling a program what happened: handlers by the name of an event. */

export type Handler<Value> = (value: Value) => void;

/** One `on`, until it is taken back. */
interface Subscription {
  readonly handler: Handler<never>;
  isOver: boolean;
}

/** Something that happened, and who had asked to be told by then. */
interface Occurrence {
  readonly value: unknown;
  readonly audience: readonly Subscription[];
}

/**
 * Calls the handlers of its events, each with the event's value; `Events` maps names to types of values. A handler that
 * throws is reported as an uncaught error and disturbs nobody else.
 *
 * Everybody hears of things in the order in which they happened: what a handler brings about, as by an edit in answer to
 * a change, is told when everybody has heard of what the handler was called for, and still before the outermost `emit`
 * returns.
 */
export class Emitter<Events> {
  readonly #subscriptions: Map<keyof Events, readonly Subscription[]> = new Map();
  #untold: Occurrence[] | undefined; // while handlers are being called

  /** Calls `handler` whenever the event happens from now on; the function that is returned takes that back. */
  on<Name extends keyof Events>(event: Name, handler: Handler<Events[Name]>): () => void {
    const subscription: Subscription = { handler, isOver: false };
    this.#subscriptions.set(event, [...(this.#subscriptions.get(event) ?? []), subscription]);
    return () => this.#end(event, subscription);
  }

  /** Takes back one `on`, also for what has happened and not been told yet; does nothing if there was none. */
  off<Name extends keyof Events>(event: Name, handler: Handler<Events[Name]>): void {
    const subscription = this.#subscriptions.get(event)?.find(each => each.handler === handler);
    if (subscription) this.#end(event, subscription);
  }

  /** Whether anybody would notice the event: its value need not be made otherwise. */
  protected isObserved(event: keyof Events): boolean {
    return Boolean(this.#subscriptions.get(event)?.length);
  }

  protected emit<Name extends keyof Events>(event: Name, value: Events[Name]): void {
    const audience = this.#subscriptions.get(event);
    if (!audience?.length) return;
    if (this.#untold) {
      this.#untold.push({ value, audience });
      return;
    }
    this.#untold = [{ value, audience }];
    for (const occurrence of this.#untold) tell(occurrence); // those that are added meanwhile included
    this.#untold = undefined;
  }

  #end(event: keyof Events, subscription: Subscription): void {
    subscription.isOver = true;
    const others = this.#subscriptions.get(event)?.filter(each => each !== subscription);
    this.#subscriptions.set(event, others ?? []);
  }
}

function tell({ value, audience }: Occurrence): void {
  for (const subscription of audience) {
    if (subscription.isOver) continue;
    try {
      subscription.handler(value as never);
    } catch (error) {
      reportError(error);
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
