/** All latencies of a job, exact: a number for each request, in a buffer that doubles. */
import type { LatencyMs } from './job.ts';

const FIRST_CAPACITY = 1 << 16;

export class Latencies {
  #values = new Float64Array(FIRST_CAPACITY);
  #count = 0;

  add(latencyMs: number): void {
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = latencyMs;
  }

  summary(): LatencyMs {
    const sorted = this.#values.subarray(0, this.#count).sort();
    const at = (share: number): number =>
      sorted.length === 0 ? 0 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
    return { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
  }
}
