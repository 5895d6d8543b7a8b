/** What happens to a machine, for those who listen: QMP's events. */

/** Names and data are QMP's. */
export interface MachineEvent {
  readonly event: string;
  readonly data?: Readonly<Record<string, unknown>>;
}

export type EventListener = (event: MachineEvent) => void;

/** Tells listeners in the order in which they came. */
export class MachineEvents {
  readonly #listeners = new Set<EventListener>();

  /** @returns takes the listener away when disposed */
  listen(listener: EventListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  emit(event: string, data?: Readonly<Record<string, unknown>>): void {
    for (const listener of this.#listeners) listener(data === undefined ? { event } : { event, data });
  }
}
