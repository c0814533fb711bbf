/**
 * Clients of a whole cluster that know exactly what they were promised, and check it while members come and go.
 *
 * Every key has one writer, every value is written once. So a linearizable read has few right answers: what was acknowledged
 * last, something newer, or a write whose answer never came, which may take effect at any later time but only once. The
 * modification revision tells these apart. A watcher that resumes wherever its stream breaks must see every acknowledged write
 * once and in order; as versions count the writes of a key, a gap shows even for writes that nobody was told about.
 */
import assert from 'node:assert/strict';
import { EtcdRpc, type Outcome, RpcError, type RpcStream } from '../../support/etcd-rpc.ts';
import type { KeyValue, MethodName, Responses, WatchEvent, WatchResponse } from '../../support/messages.ts';
import { eventually, sleep } from '../../support/run.ts';

export interface WorkloadOptions {
  readonly writers?: number;
  readonly readers?: number;
  /** A pause of each client after each request: without it two processors are busy with nothing but the load, for as long as a test waits. */
  readonly pauseMs?: number;
  /** Seconds. Long enough for the longest election, and to be found alive again afterwards. */
  readonly leaseTtl?: number;
}

/** What is known about one key. */
interface Key {
  readonly name: string;
  /** Modification revision to value, of all acknowledged writes. */
  readonly acknowledged: Map<bigint, string>;
  /** Writes that may have been carried out, or may still be. */
  readonly unanswered: Set<string>;
  /** The highest modification revision that a finished read or write has shown. */
  floor: bigint;
}

const PREFIX = 'work/';
const PREFIX_END = 'work0';
const KEYS_PER_WRITER = 4;
const DEADLINE_MS = 3000;
const RETRY_MS = 20;
const KEEPALIVE_MS = 500;
/** gRPC codes of failures that say nothing about whether a request was carried out. */
const UNAVAILABLE = 14;
const DEADLINE_EXCEEDED = 4;
const CANCELLED = 1;
const UNKNOWN = 2;

export class ClusterWorkload {
  /** Requests, acknowledged and failed ones, and the longest time without an acknowledged write. */
  acknowledged = 0;
  failed = 0;
  reads = 0;
  longestOutageMs = 0;
  /** What failed requests said, each text with its count. */
  readonly failures = new Map<string, number>();
  readonly #keys: Key[];
  readonly #events: WatchEvent[] = [];
  readonly #options: Required<WorkloadOptions>;
  readonly #clients = new Map<string, EtcdRpc>();
  readonly #endpoints: () => readonly string[];
  readonly #running: Promise<void>[] = [];
  #sequence = 0;
  #lastAcknowledgedMs = 0;
  /** The highest revision that any answer has told. */
  #revision = 0n;
  #watchedFrom = 0n;
  #watch: RpcStream<WatchResponse> | null = null;
  #watchResumptions = 0;
  #leaseId = 0n;
  #isStopping = false;
  #failure: unknown = null;

  /** @param endpoints addresses of the members that clients may turn to now; may change at any time. */
  constructor(endpoints: () => readonly string[], options: WorkloadOptions = {}) {
    this.#endpoints = endpoints;
    this.#options = { writers: 6, readers: 3, pauseMs: 25, leaseTtl: 15, ...options };
    this.#keys = Array.from({ length: this.#options.writers * KEYS_PER_WRITER }, (_, i) => ({
      name: `${PREFIX}${i}`,
      acknowledged: new Map(),
      unanswered: new Set(),
      floor: 0n,
    }));
  }

  get watchResumptions(): number {
    return this.#watchResumptions;
  }

  async start(): Promise<void> {
    const { ID } = await this.#persist('Lease.LeaseGrant', { TTL: this.#options.leaseTtl });
    this.#leaseId = ID;
    const { header } = await this.#persist('KV.Put', { key: 'kept', value: 'alive', lease: ID });
    this.#watchedFrom = header!.revision + 1n;
    this.#lastAcknowledgedMs = Date.now();
    for (let i = 0; i < this.#options.writers; i++) this.#run(this.#write(i));
    for (let i = 0; i < this.#options.readers; i++) this.#run(this.#read(i));
    this.#run(this.#follow());
    this.#run(this.#keepAlive());
  }

  /** Throws what a client has found wrong so far. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Waits until so many more writes are acknowledged: the cluster serves again. */
  async progress(writes = 20, timeoutMs = 30_000): Promise<void> {
    const goal = this.acknowledged + writes;
    const hasHappened = (): boolean => this.#failure !== null || this.acknowledged >= goal;
    await eventually(
      `${writes} more acknowledged writes; failures: ${this.describeFailures()}`,
      hasHappened,
      timeoutMs,
    );
    this.check();
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#watch?.cancel();
    await Promise.all(this.#running);
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  /** Ends the load, then accounts for everything: all keys, all events, the lease. The cluster must be whole. */
  async finish(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running.slice(0, this.#options.writers));
    this.check();
    const range = await this.#persist('KV.Range', { key: PREFIX, range_end: PREFIX_END });
    await eventually('the watcher has caught up', () => {
      this.check();
      const last = this.#events.at(-1)?.kv.mod_revision ?? 0n;
      return range.kvs.every(({ mod_revision: revision }) => revision <= last);
    });
    await this.stop();
    this.check();
    this.#verifyContents(range.kvs);
    this.#verifyEvents();
    await this.#verifyLease();
    for (const client of this.#clients.values()) client.close();
  }

  describeFailures(): string {
    return [...this.failures].map(([text, count]) => `${count} × ${text}`).join('; ') || 'none';
  }

  describe(): string {
    return (
      `${this.acknowledged} acknowledged writes, ${this.reads} reads, ${this.#events.length} events, ` +
      `${this.#watchResumptions} resumptions, longest outage ${this.longestOutageMs} ms, failures: ${this.describeFailures()}`
    );
  }

  #run(client: Promise<void>): void {
    this.#running.push(
      client.catch((error: unknown) => {
        this.#failure ??= error;
        this.#isStopping = true;
      }),
    );
  }

  #rpc(address: string): EtcdRpc {
    let rpc = this.#clients.get(address);
    if (rpc === undefined) this.#clients.set(address, (rpc = new EtcdRpc(address)));
    return rpc;
  }

  /** One attempt through the endpoint whose turn it is. Whatever is no failure of the moment is one of the server. */
  async #attempt<M extends MethodName>(
    turn: number,
    method: M,
    request: object,
  ): Promise<Outcome<Responses[M]>> {
    const endpoints = this.#endpoints();
    if (endpoints.length === 0) return { ok: false, code: UNAVAILABLE, details: 'no endpoints' };
    const outcome = await this.#rpc(endpoints[turn % endpoints.length]!).outcome(
      method,
      request,
      DEADLINE_MS,
    );
    if (!outcome.ok) {
      this.failed++;
      const text = describeFailure(method, outcome.code, outcome.details);
      this.failures.set(text, (this.failures.get(text) ?? 0) + 1);
      assert(isOfTheMoment(outcome), `${method}: code ${outcome.code}: ${outcome.details}`);
      await sleep(RETRY_MS);
    }
    return outcome;
  }

  /** Tries one member after the other until one answers. */
  async #persist<M extends MethodName>(method: M, request: object): Promise<Responses[M]> {
    const deadline = Date.now() + 30_000;
    for (let turn = 0; ; turn++) {
      const outcome = await this.#attempt(turn, method, request);
      if (outcome.ok) return outcome.value;
      assert(Date.now() < deadline, `${method}: ${outcome.details}`);
    }
  }

  async #write(writer: number): Promise<void> {
    for (let turn = writer; !this.#isStopping; turn++) {
      const key = this.#keys[writer * KEYS_PER_WRITER + (turn % KEYS_PER_WRITER)]!;
      const number = this.#sequence++;
      const value = `${number}:${'v'.repeat(number % 200)}`;
      const floor = this.#revision;
      const put = { key: key.name, value };
      const outcome =
        number % 5 === 0
          ? await this.#attempt(turn, 'KV.Txn', { success: [{ request_put: put }] })
          : await this.#attempt(turn, 'KV.Put', put);
      if (!outcome.ok) {
        key.unanswered.add(value);
        continue;
      }
      const revision = outcome.value.header!.revision;
      assert(revision > floor, `a write got revision ${revision} after ${floor} had been seen`);
      this.#acknowledge(key, revision, value);
      await sleep(this.#options.pauseMs);
    }
  }

  #acknowledge(key: Key, revision: bigint, value: string): void {
    const nowMs = Date.now();
    this.longestOutageMs = Math.max(this.longestOutageMs, nowMs - this.#lastAcknowledgedMs);
    this.#lastAcknowledgedMs = nowMs;
    this.acknowledged++;
    key.acknowledged.set(revision, value);
    if (revision > key.floor) key.floor = revision;
    if (revision > this.#revision) this.#revision = revision;
  }

  async #read(reader: number): Promise<void> {
    for (let turn = reader; !this.#isStopping; turn++) {
      const key = this.#keys[(turn * 7) % this.#keys.length]!;
      const { floor } = key;
      const revisionFloor = this.#revision;
      const outcome = await this.#attempt(turn, 'KV.Range', { key: key.name });
      if (outcome.ok) {
        const { header, kvs } = outcome.value;
        assert(
          header!.revision >= revisionFloor,
          `read at ${header!.revision} after ${revisionFloor} had been seen`,
        );
        this.#verifyKey(key, kvs[0], floor);
        if (kvs[0] !== undefined && kvs[0].mod_revision > key.floor) key.floor = kvs[0].mod_revision;
        if (header!.revision > this.#revision) this.#revision = header!.revision;
        this.reads++;
      }
      await sleep(this.#options.pauseMs);
    }
  }

  /** @param floor what had been acknowledged or read before the read began. */
  #verifyKey({ name, acknowledged, unanswered }: Key, kv: KeyValue | undefined, floor: bigint): void {
    if (kv === undefined) {
      assert.equal(floor, 0n, `${name} was at revision ${floor} and is gone`);
      return;
    }
    const value = kv.value.toString();
    assert(kv.mod_revision >= floor, `${name}: read at revision ${kv.mod_revision} after ${floor}: ${value}`);
    const written = acknowledged.get(kv.mod_revision);
    if (written !== undefined) assert.equal(value, written, `${name} at ${kv.mod_revision}`);
    // Else it is a write that is not acknowledged: none of those that were, at another revision.
    else if (!unanswered.has(value)) {
      for (const [revision, other] of acknowledged)
        assert.notEqual(other, value, `${name}: acknowledged at ${revision}, read at ${kv.mod_revision}`);
    }
  }

  /** Watches all keys, at another member whenever the stream breaks, from the event after the last one. */
  async #follow(): Promise<void> {
    let next = this.#watchedFrom;
    for (let turn = 0; !this.#isStopping || this.#watch !== null; turn++) {
      const endpoints = this.#endpoints();
      const stream = this.#rpc(endpoints[turn % endpoints.length]!).stream('Watch.Watch', {
        // A member that has lost the others ends the stream, so that it is not followed for ever.
        hasleader: 'true',
      });
      this.#watch = stream;
      stream.send({ create_request: { key: PREFIX, range_end: PREFIX_END, start_revision: next } });
      try {
        for (;;) {
          const response = await stream.next(60_000);
          if (response === null) break;
          assert.equal(response.compact_revision, 0n, 'nothing is compacted that is watched');
          this.#events.push(...response.events);
          if (response.events.length > 0) next = response.events.at(-1)!.kv.mod_revision + 1n;
          if (response.canceled) break;
        }
      } catch (error) {
        if (!(error instanceof RpcError)) throw error;
        assert(isOfTheMoment(error), `watch: ${error.message}`);
      }
      this.#watch = null;
      if (this.#isStopping) return;
      this.#watchResumptions++;
      await sleep(RETRY_MS);
    }
  }

  async #keepAlive(): Promise<void> {
    for (let turn = 0; !this.#isStopping; turn++) {
      const endpoints = this.#endpoints();
      const stream = this.#rpc(endpoints[turn % endpoints.length]!).stream('Lease.LeaseKeepAlive');
      try {
        stream.send({ ID: this.#leaseId });
        const answer = await stream.next(DEADLINE_MS);
        if (answer !== null) assert(answer.TTL > 0n, 'a lease that is kept alive has expired');
        await sleep(KEEPALIVE_MS);
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        if (error instanceof RpcError) assert(isOfTheMoment(error), `keepalive: ${error.message}`);
        await sleep(RETRY_MS);
      } finally {
        stream.cancel();
      }
    }
  }

  #verifyContents(kvs: readonly KeyValue[]): void {
    const found = new Map(kvs.map((kv) => [kv.key.toString(), kv]));
    for (const key of this.#keys) {
      this.#verifyKey(key, found.get(key.name), key.floor);
      found.delete(key.name);
    }
    assert.deepEqual([...found.keys()], [], 'keys that nobody wrote');
  }

  #verifyEvents(): void {
    const versions = new Map<string, bigint>();
    const seen = new Map<bigint, WatchEvent>();
    const values = new Set<string>();
    let last = 0n;
    for (const event of this.#events) {
      const { key, value, mod_revision: revision, version } = event.kv;
      const name = key.toString();
      assert(revision > last, `event at revision ${revision} after ${last}`);
      last = revision;
      assert.equal(
        version,
        (versions.get(name) ?? 0n) + 1n,
        `${name}: an event is missing before revision ${revision}`,
      );
      versions.set(name, version);
      assert(!values.has(value.toString()), `${name}: ${value} was written twice`);
      values.add(value.toString());
      seen.set(revision, event);
    }
    for (const { name, acknowledged } of this.#keys) {
      for (const [revision, value] of acknowledged) {
        const kv = seen.get(revision)?.kv;
        assert(
          kv !== undefined,
          `${name}: the write at revision ${revision} was acknowledged and never seen`,
        );
        assert.equal(kv.key.toString(), name);
        assert.equal(kv.value.toString(), value);
      }
    }
  }

  async #verifyLease(): Promise<void> {
    const lease = await this.#persist('Lease.LeaseTimeToLive', { ID: this.#leaseId, keys: true });
    assert(lease.TTL > 0n, 'the lease that was kept alive is gone');
    assert.deepEqual(lease.keys.map(String), ['kept']);
  }
}

/** The member is not there, or has no leader now; the request may have been carried out. */
function isOfTheMoment({ code, details }: { readonly code: number; readonly details: string }): boolean {
  if (code === UNAVAILABLE || code === DEADLINE_EXCEEDED || code === CANCELLED) return true;
  return code === UNKNOWN && /raft proposal dropped|server stopped|no leader|leader changed|^$/.test(details);
}

function describeFailure(method: string, code: number, details: string): string {
  const text = /ECONN|No connection|connect|Connection dropped|Deadline/i.exec(details)?.[0] ?? details;
  return `${method} ${code} ${text}`;
}
