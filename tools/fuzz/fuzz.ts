/**
 * Looks for inputs that a target takes badly: changes those of its corpus at random, and keeps each that makes code run that none before it
 * did. What V8 counts is asked for once for many inputs, since asking costs as much as some hundred of them: a fifth of the time at most goes there.
 */
import { SeededRandom } from '@etcd/base';
import type { FuzzTarget } from '@etcd/testing';
import { Coverage } from './coverage.ts';
import { type Finding, isFine, judgeInput } from './judge-input.ts';
import { mutate } from './mutate.ts';

export interface FuzzOptions {
  readonly target: FuzzTarget;
  /** Inputs that were kept before, besides the target's own. */
  readonly corpus: readonly Uint8Array[];
  readonly seed: number;
  readonly durationMs: number;
}

export interface FoundInput extends Finding {
  readonly input: Uint8Array;
}

export interface FuzzResult {
  readonly runs: number;
  readonly seconds: number;
  /** Of the processor: less than `seconds` on a machine that has more to do. */
  readonly cpuSeconds: number;
  /** All inputs that were worth keeping, the given ones among them; not those that the target has itself. */
  readonly corpus: readonly Uint8Array[];
  /** Characters of source that ran. */
  readonly covered: number;
  readonly findings: readonly FoundInput[];
}

const DEFAULT_MAX_BYTES = 2048;
/** At least so long between two questions to V8. */
const MIN_BATCH_MS = 40;
/** How much longer than a question what runs between two of them is. */
const BATCH_TO_QUESTION = 4;
const MAX_BATCH = 4096;
/** After so many findings there is enough to mend. */
const MAX_FINDINGS = 5;
const SHRINK_STEPS = 300;

export function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  return new Fuzzer(options).run();
}

class Fuzzer {
  readonly #options: FuzzOptions;
  readonly #random: SeededRandom;
  readonly #coverage = new Coverage();
  readonly #corpus: Uint8Array[] = [];
  readonly #findings: FoundInput[] = [];
  readonly #tokens: readonly Uint8Array[];
  #runs = 0;
  #batchSize = 16;
  #seedCount = 0;
  #questionMs = 0;
  #loaded = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#tokens = (options.target.tokens ?? []).map((token) => Buffer.from(token, 'latin1'));
  }

  async run(): Promise<FuzzResult> {
    const { durationMs } = this.#options;
    const beginMs = performance.now();
    const beginCpu = process.cpuUsage();
    await this.#begin();
    while (performance.now() - beginMs < durationMs && this.#findings.length < MAX_FINDINGS) {
      await this.#runBatch();
    }
    const { user, system } = process.cpuUsage(beginCpu);
    return {
      runs: this.#runs,
      seconds: Math.round((performance.now() - beginMs) / 1000),
      cpuSeconds: Math.round((user + system) / 1_000_000),
      corpus: this.#corpus.slice(this.#seedCount),
      covered: this.#coverage.covered - this.#loaded,
      findings: this.#findings,
    };
  }

  /** What there is to begin with was worth keeping once: nobody is asked what it makes run. */
  async #begin(): Promise<void> {
    const { target, corpus } = this.#options;
    // What ran while the code was loaded is nobody's doing.
    this.#coverage.take();
    this.#loaded = this.#coverage.covered;
    const seeds = target.seeds();
    this.#seedCount = seeds.length;
    this.#corpus.push(...seeds, ...corpus);
    for (const input of this.#corpus) await this.#judge(input);
    this.#runs += this.#corpus.length;
    if (this.#corpus.length === 0) {
      this.#corpus.push(new Uint8Array(0));
      this.#seedCount = 1;
    }
    this.#coverage.take();
  }

  async #runBatch(): Promise<void> {
    const { target } = this.#options;
    const source = {
      random: this.#random,
      corpus: this.#corpus,
      tokens: this.#tokens,
      maxBytes: target.maxBytes ?? DEFAULT_MAX_BYTES,
    };
    const batch = Array.from({ length: this.#batchSize }, () => mutate(source));
    const beginMs = performance.now();
    const fine = await isFine(target, batch);
    this.#runs += batch.length;
    const enoughMs = Math.max(MIN_BATCH_MS, BATCH_TO_QUESTION * this.#questionMs);
    const isQuick = performance.now() - beginMs < enoughMs;
    this.#batchSize = isQuick ? Math.min(MAX_BATCH, 2 * this.#batchSize) : Math.max(1, this.#batchSize >> 1);
    if (!fine) for (const input of batch) await this.#judge(input);
    const askedMs = performance.now();
    const isNew = this.#coverage.peek();
    this.#questionMs = performance.now() - askedMs;
    if (!isNew) return;
    await this.#keepNewOf(batch);
    // What ran for reasons of its own, and not for one of them.
    for (const input of batch) await this.#quietly(input);
    this.#coverage.take();
  }

  /** Halves what made new code run until it is known which of them did. */
  async #keepNewOf(inputs: readonly Uint8Array[]): Promise<void> {
    for (const input of inputs) await this.#quietly(input);
    if (inputs.length === 1) {
      if (this.#coverage.take()) this.#corpus.push(inputs[0]!);
    } else if (this.#coverage.peek()) {
      await this.#keepNewOf(inputs.slice(0, inputs.length >> 1));
      await this.#keepNewOf(inputs.slice(inputs.length >> 1));
    }
  }

  async #quietly(input: Uint8Array): Promise<void> {
    try {
      await this.#options.target.run(Uint8Array.from(input));
    } catch {
      // Judged already.
    }
  }

  async #judge(input: Uint8Array): Promise<void> {
    const finding = await judgeInput(this.#options.target, input);
    if (finding === null || this.#findings.some((known) => titleOf(known) === titleOf(finding))) return;
    this.#findings.push({ ...finding, input: await this.#shrunk(input, finding) });
  }

  /** Shorter, and still taken badly in the same way. */
  async #shrunk(input: Uint8Array, finding: Finding): Promise<Uint8Array> {
    if (finding.kind === 'hang') return input;
    let best = input;
    for (let i = 0; i < SHRINK_STEPS && best.length > 0; i++) {
      const at = this.#random.below(best.length);
      const length = 1 + this.#random.below(Math.max(1, best.length >> 2));
      const shorter = Uint8Array.from([...best.subarray(0, at), ...best.subarray(at + length)]);
      const again = await judgeInput(this.#options.target, shorter);
      if (again !== null && titleOf(again) === titleOf(finding)) best = shorter;
    }
    return best;
  }
}

/** Findings of one cause: where it was thrown, not with which numbers. */
function titleOf({ kind, details }: Finding): string {
  if (kind !== 'error') return kind;
  return /\n\s+at .*/.exec(details)?.[0] ?? details.split('\n')[0]!;
}
