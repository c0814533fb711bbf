/** Carries out random operations on two servers and compares what comes of them: the answers, the watches, and the whole stores at the end. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { inspect, isDeepStrictEqual } from 'node:util';
import { SeededRandom } from '@etcd/base';
import { atLeast } from '../../support/programs.ts';
import { sleep } from '../../support/run.ts';
import { type Difference, legitimateDifferences } from './differences.ts';
import { type Operation, OperationSource } from './operations.ts';
import type { Replica } from './replica.ts';

const DEFAULT_OPERATIONS = 2000;
const CRASHES = 2;
/** Past events are sent by a background pass every 100 ms; after this long, watches are where they will be. */
const SETTLED_MS = 300;
const SETTLE_TIMEOUT_MS = 10_000;

/** How much of the answers is compared. */
export interface Scope {
  /**
   * The header of the answer to a canceled watch, to a renewal, and to a serializable range: a proxy gives the last that it has heard of, and
   * answers that it has given before.
   */
  readonly heardHeaders: boolean;
}

const EVERYTHING: Scope = { heardHeaders: true };

class Comparison {
  readonly #ours: Replica;
  readonly #theirs: Replica;
  readonly #source: OperationSource;
  readonly #differences: readonly Difference[];
  readonly #scope: Scope;
  readonly #recent: object[] = [];
  readonly used = new Map<string, number>();

  constructor(ours: Replica, theirs: Replica, source: OperationSource, scope: Scope) {
    this.#scope = scope;
    this.#ours = ours;
    this.#theirs = theirs;
    this.#source = source;
    this.#differences = legitimateDifferences(ours.program, theirs.program);
  }

  async step(): Promise<void> {
    const operation = this.#source.next();
    // Whether a watch from the past gets its events or is cancelled must not depend on who is faster.
    if (operation.kind === 'compact') await this.settle();
    const [ours, theirs] = await this.#carryOut(operation);
    this.#recent.push({ operation, answer: theirs });
    if (this.#recent.length > 8) this.#recent.splice(0, 1);
    const isLeftOut = !this.#scope.heardHeaders && hasHeardHeader(operation);
    this.#compare(
      operation,
      isLeftOut ? withoutHeader(ours) : ours,
      isLeftOut ? withoutHeader(theirs) : theirs,
    );
    const { header } = theirs as { header?: { revision: bigint } | null };
    if (header != null && header.revision > this.#source.revision) this.#source.revision = header.revision;
    // One that begins before the compaction is cancelled by the next background pass.
    if (operation.kind === 'watch' && this.#isCompacted(operation.request['start_revision']))
      await this.settle();
    if (operation.kind === 'compact' && !('code' in theirs)) {
      this.#source.compactRevision = BigInt(operation.request['revision'] as bigint);
    }
  }

  async #carryOut(operation: Operation): Promise<[object, object]> {
    const deadline = Date.now() + SETTLE_TIMEOUT_MS;
    for (;;) {
      const answers = await Promise.all([this.#ours.carryOut(operation), this.#theirs.carryOut(operation)]);
      // At its revision, a compaction leaves a hash of what it went over; until then, the hash is of what is left.
      if (!this.#isOfCompaction(operation) || Date.now() > deadline) return answers;
      if (isDeepStrictEqual(compactRevisionOf(answers[0]), compactRevisionOf(answers[1]))) return answers;
      await sleep(50);
    }
  }

  #isOfCompaction(operation: Operation): boolean {
    if (operation.kind !== 'call' || operation.method !== 'Maintenance.HashKV') return false;
    return operation.request['revision'] === this.#source.compactRevision;
  }

  #isCompacted(revision: unknown): boolean {
    return typeof revision === 'bigint' && revision !== 0n && revision <= this.#source.compactRevision;
  }

  #compare(operation: Operation, ours: object, theirs: object): void {
    if (isDeepStrictEqual(ours, theirs)) return;
    let answers = { ours, theirs };
    for (const difference of this.#differences) {
      const reconciled = difference.reconcile(operation, answers);
      if (reconciled === null) continue;
      answers = reconciled;
      this.used.set(difference.reason, (this.used.get(difference.reason) ?? 0) + 1);
      if (isDeepStrictEqual(answers.ours, answers.theirs)) return;
    }
    const show = (value: unknown): string =>
      inspect(value, { depth: 12, maxStringLength: 100, maxArrayLength: 12 });
    assert.deepEqual(
      answers.ours,
      answers.theirs,
      `${show(this.#recent)}\nours: ${show(ours)}\ntheirs: ${show(theirs)}`,
    );
  }

  /** Waits until the watches of both have received the same, and then some. */
  async settle(): Promise<void> {
    const deadline = Date.now() + SETTLE_TIMEOUT_MS;
    await sleep(SETTLED_MS);
    for (;;) {
      await Promise.all([this.#ours.gather(), this.#theirs.gather()]);
      if (isDeepStrictEqual(this.#ours.watches, this.#theirs.watches)) return;
      if (Date.now() > deadline) break;
      await sleep(50);
    }
    for (const [key, theirs] of this.#theirs.watches) {
      assert.deepEqual(this.#ours.watches.get(key), theirs, `watch ${key}`);
    }
    assert.deepEqual([...this.#ours.watches.keys()], [...this.#theirs.watches.keys()]);
  }

  async crash(): Promise<void> {
    await this.settle();
    await Promise.all([this.#ours.crash(), this.#theirs.crash()]);
  }

  /** The whole store, and its hash, at the end. */
  async compareStores(): Promise<void> {
    const whole = { key: '\0', range_end: '\0' };
    const operations: Operation[] = [
      { kind: 'call', method: 'KV.Range', request: whole },
      { kind: 'call', method: 'Maintenance.HashKV', request: {} },
      { kind: 'call', method: 'Lease.LeaseLeases', request: {} },
    ];
    for (const operation of operations) {
      const [ours, theirs] = await Promise.all([
        this.#ours.carryOut(operation),
        this.#theirs.carryOut(operation),
      ]);
      this.#compare(operation, ours, theirs);
    }
  }
}

function compactRevisionOf(answer: object): unknown {
  return (answer as { readonly compact_revision?: unknown }).compact_revision;
}

/** Whether a proxy may give the answer from what it knows. */
function hasHeardHeader(operation: Operation): boolean {
  if (operation.kind === 'unwatch' || operation.kind === 'keep-alive') return true;
  return (
    operation.kind === 'call' && operation.method === 'KV.Range' && operation.request['serializable'] === true
  );
}

function withoutHeader(answer: object): object {
  return { ...answer, header: null };
}

/** A pair of which both have started, or none. */
export async function startBoth(
  startOurs: () => Promise<Replica>,
  startTheirs: () => Promise<Replica>,
): Promise<[Replica, Replica]> {
  const ours = await startOurs();
  try {
    return [ours, await startTheirs()];
  } catch (error) {
    await ours.stop();
    throw error;
  }
}

/** Stops both at the end. `ETCD_TEST_SEED` replays a run, `ETCD_TEST_OPERATIONS` says how many operations. */
export async function compare(
  [ours, theirs]: readonly [Replica, Replica],
  t: TestContext,
  scope: Scope = EVERYTHING,
): Promise<void> {
  const seed = Number(process.env['ETCD_TEST_SEED'] ?? Date.now() % 1_000_000_000);
  const count = Number(process.env['ETCD_TEST_OPERATIONS'] ?? DEFAULT_OPERATIONS);
  t.diagnostic(`ETCD_TEST_SEED=${seed}`);
  const source = new OperationSource(new SeededRandom(seed), {
    unknownSorts: [ours, theirs].every(({ program }) => atLeast(program, 3, 6)),
    rangeStreams: [ours, theirs].every(({ program }) => atLeast(program, 3, 7)),
  });
  const comparison = new Comparison(ours, theirs, source, scope);
  let done = 0;
  try {
    const crashEvery = Math.ceil(count / (CRASHES + 1));
    for (; done < count; done++) {
      if (done > 0 && done % crashEvery === 0) await comparison.crash();
      await comparison.step();
    }
    await comparison.settle();
    await comparison.compareStores();
    for (const [reason, times] of comparison.used) t.diagnostic(`${times} × ${reason}`);
    assert(source.revision > count / 10, 'too few writes to say anything');
  } catch (error) {
    process.stdout.write(`ETCD_TEST_SEED=${seed}: difference after ${done} operations\n`);
    throw error;
  } finally {
    await Promise.all([ours.stop(), theirs.stop()]);
  }
}
