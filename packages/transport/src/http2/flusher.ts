/**
 * Writes the connections that have gathered output, once per turn of the event loop: a thousand answers on a
 * hundred connections are a hundred writes.
 */
import type { Clock } from '@etcd/base';

interface Flushable {
  flush(): void;
}

export class Flusher {
  readonly #clock: Clock;
  #dirty: Flushable[] = [];
  /** The list of the turn before, emptied: the two take turns. */
  #spare: Flushable[] = [];
  readonly #run = (): void => this.flush();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(connection: Flushable): void {
    if (this.#dirty.length === 0) this.#clock.defer(this.#run);
    this.#dirty.push(connection);
  }

  /** Writes now what would be written at the end of the turn. */
  flush(): void {
    const connections = this.#dirty;
    this.#dirty = this.#spare;
    for (let i = 0; i < connections.length; i++) connections[i]!.flush();
    connections.length = 0;
    this.#spare = connections;
  }
}
