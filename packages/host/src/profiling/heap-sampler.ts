/** What is in V8's heap, by who allocated it: sampled from the start on, since nobody can tell afterwards. */
import { type HeapProfiler, Session } from 'node:inspector/promises';

/** One allocation in so many bytes is looked at: as many as Go's runtime has it. */
export const SAMPLING_INTERVAL_BYTES = 512 * 1024;

export class HeapSampler {
  readonly #session = new Session();

  async start(): Promise<void> {
    this.#session.connect();
    await this.#session.post('HeapProfiler.enable');
    await this.#session.post('HeapProfiler.startSampling', { samplingInterval: SAMPLING_INTERVAL_BYTES });
  }

  /** What was allocated since the start and is still there. */
  async profile(): Promise<HeapProfiler.SamplingHeapProfile> {
    const { profile } = await this.#session.post('HeapProfiler.getSamplingProfile');
    return profile;
  }

  stop(): void {
    this.#session.disconnect();
  }
}
