/** Work by key: each is done by one at a time, not before it is due, and a bounded number at once. */
export interface QueueOptions {
  readonly maxConcurrent: number;
  /** Does the work of a key; returns when to do it again, null: no more. What it throws ends the program. */
  readonly work: (key: string) => Promise<number | null>;
}

export class Queue {
  readonly #options: QueueOptions;
  readonly #due = new Map<string, NodeJS.Timeout>();
  readonly #ready = new Set<string>();
  readonly #running = new Set<string>();
  /** Asked for while it was being done. */
  readonly #again = new Set<string>();
  #isStopped = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** Has the key done now, or once more where it is being done. */
  add(key: string): void {
    if (this.#isStopped) return;
    if (this.#running.has(key)) {
      this.#again.add(key);
      return;
    }
    clearTimeout(this.#due.get(key));
    this.#due.delete(key);
    this.#ready.add(key);
    this.#next();
  }

  /** Begins nothing more. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#due.values()) clearTimeout(timer);
    this.#due.clear();
    this.#ready.clear();
  }

  #next(): void {
    for (const key of this.#ready) {
      if (this.#running.size >= this.#options.maxConcurrent) return;
      this.#ready.delete(key);
      this.#running.add(key);
      void this.#run(key);
    }
  }

  async #run(key: string): Promise<void> {
    const againMs = await this.#options.work(key);
    this.#running.delete(key);
    const isWanted = this.#again.delete(key);
    if (this.#isStopped) return;
    if (againMs !== null) this.#later(key, isWanted ? Math.min(againMs, SOON_MS) : againMs);
    else if (isWanted) this.#later(key, SOON_MS);
    this.#next();
  }

  #later(key: string, delayMs: number): void {
    this.#due.set(
      key,
      setTimeout(() => this.add(key), delayMs),
    );
  }
}

/** What changes comes in showers. */
const SOON_MS = 200;
