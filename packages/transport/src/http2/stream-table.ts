/**
 * The live streams of a connection by identifier. Identifiers only grow and most streams are short, so a
 * stream sits in the slot that its identifier names, modulo the table's size: neither hashing nor deletion
 * costs anything. A stream that lives on while the identifiers come round to its slot again moves to a Map.
 */

/** What the table needs of a stream. */
interface Identified {
  readonly id: number;
}

const INITIAL_SLOTS = 16;
const MAX_SLOTS = 4096;

export class StreamTable<T extends Identified> {
  // Allocated with the first stream: an idle connection holds none.
  #slots: (T | null)[] = [];
  #slotted = 0;
  readonly #longLived = new Map<number, T>();

  get count(): number {
    return this.#slotted + this.#longLived.size;
  }

  get(id: number): T | null {
    const slots = this.#slots;
    if (slots.length === 0) return null;
    const stream = slots[(id >>> 1) & (slots.length - 1)]!;
    if (stream !== null && stream.id === id) return stream;
    return this.#longLived.size === 0 ? null : (this.#longLived.get(id) ?? null);
  }

  /** Adds a stream whose identifier is not in the table. */
  add(stream: T): void {
    if (this.#slotted * 2 >= this.#slots.length && this.#slots.length < MAX_SLOTS) this.#grow();
    this.#place(stream);
  }

  delete(id: number): void {
    const slots = this.#slots;
    if (slots.length === 0) return;
    const slot = (id >>> 1) & (slots.length - 1);
    if (slots[slot]?.id === id) {
      slots[slot] = null;
      this.#slotted--;
    } else {
      this.#longLived.delete(id);
    }
  }

  /** All streams at this moment, in no particular order. */
  list(): T[] {
    const streams = [...this.#longLived.values()];
    for (const stream of this.#slots) if (stream !== null) streams.push(stream);
    return streams;
  }

  #place(stream: T): void {
    const slot = (stream.id >>> 1) & (this.#slots.length - 1);
    const old = this.#slots[slot]!;
    if (old === null) this.#slotted++;
    else this.#longLived.set(old.id, old);
    this.#slots[slot] = stream;
  }

  #grow(): void {
    const streams = this.#slots;
    this.#slots = new Array(Math.max(INITIAL_SLOTS, streams.length * 2)).fill(null);
    this.#slotted = 0;
    for (const stream of streams) if (stream !== null) this.#place(stream);
  }
}
