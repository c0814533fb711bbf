/**
 * Writers that know exactly what they were promised. Each write is unique, so that afterwards every one can be
 * accounted for: acknowledged writes must be there once and at the revision they were acknowledged with; a write
 * whose answer never came may be there or not, but not twice, and not in part.
 */
import assert from 'node:assert/strict';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import type { KeyValue } from '../../support/messages.ts';

interface Acknowledged {
  readonly value: string;
  readonly revision: bigint;
}

const WRITERS = 12;
const COUNTERS = 6;
/** How long a writer waits for a server that may just have died. */
const DEADLINE_MS = 5000;
const RETRY_MS = 10;
/** Everything written is checked at the end; after each crash only this many of the newest. */
const RECENT = 400;
const KEYS_PER_TXN = 100;

export class Workload {
  acknowledged = 0;
  readonly #address: string;
  readonly #written = new Map<string, Acknowledged>();
  readonly #unanswered = new Map<string, string>();
  /** Each counter has one owner, who knows its value; the last known modification is what it compares with. */
  readonly #counters = Array.from({ length: COUNTERS }, () => ({ value: 0n, modRevision: 0n }));
  readonly #recent: string[] = [];
  #highestRevision = 0n;
  #isStopping = false;
  #failure: unknown = null;
  #sequence = 0;
  #running: Promise<void>[] = [];
  readonly #clients: EtcdRpc[] = [];

  constructor(address: string) {
    this.#address = address;
  }

  start(): void {
    this.#isStopping = false;
    const failed = (error: unknown): void => {
      this.#failure ??= error;
    };
    for (let i = 0; i < WRITERS; i++) this.#running.push(this.#write(i, this.#client()).catch(failed));
    for (let i = 0; i < COUNTERS; i++) this.#running.push(this.#count(i, this.#client()).catch(failed));
  }

  /** Stops writing. What a writer found wrong meanwhile comes out in the next verification. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
    this.#running = [];
    for (const client of this.#clients.splice(0)) client.close();
  }

  #client(): EtcdRpc {
    const client = new EtcdRpc(this.#address);
    this.#clients.push(client);
    return client;
  }

  /** Alternates plain puts with transactions that create a key only if it does not exist. */
  async #write(writer: number, rpc: EtcdRpc): Promise<void> {
    while (!this.#isStopping) {
      const number = this.#sequence++;
      const key = `unique/${writer}/${number}`;
      const value = `${number}:${'v'.repeat(number % 700)}`;
      const isTxn = number % 3 === 0;
      const put = { key, value };
      const create = {
        compare: [{ key, target: 'CREATE', result: 'EQUAL', create_revision: 0 }],
        success: [{ request_put: put }],
      };
      const outcome = isTxn
        ? await rpc.outcome('KV.Txn', create, DEADLINE_MS)
        : await rpc.outcome('KV.Put', put, DEADLINE_MS);
      if (outcome.ok) {
        if ('succeeded' in outcome.value)
          assert(outcome.value.succeeded, `${key} existed before it was written`);
        this.#acknowledge(key, value, outcome.value.header!.revision);
      } else {
        this.#unanswered.set(key, value);
        await pause();
      }
    }
  }

  #acknowledge(key: string, value: string, revision: bigint): void {
    this.acknowledged++;
    this.#written.set(key, { value, revision });
    this.#recent.push(key);
    if (revision > this.#highestRevision) this.#highestRevision = revision;
  }

  /** Increments by compare-and-swap. After an unanswered attempt it reads which way it went. */
  async #count(index: number, rpc: EtcdRpc): Promise<void> {
    const key = `counter/${index}`;
    const counter = this.#counters[index]!;
    while (!this.#isStopping) {
      const outcome = await rpc.outcome(
        'KV.Txn',
        {
          compare: [{ key, target: 'MOD', result: 'EQUAL', mod_revision: counter.modRevision }],
          success: [{ request_put: { key, value: `${counter.value + 1n}` } }],
          failure: [{ request_range: { key } }],
        },
        DEADLINE_MS,
      );
      if (!outcome.ok) {
        await pause();
        continue;
      }
      const { succeeded, header, responses } = outcome.value;
      if (succeeded) {
        this.acknowledged++;
        counter.value += 1n;
        counter.modRevision = header!.revision;
        if (header!.revision > this.#highestRevision) this.#highestRevision = header!.revision;
        continue;
      }
      // The attempt before this one was carried out, though its answer was lost; nothing else can have happened.
      const kv = responses[0]!.response_range!.kvs[0];
      assert(kv !== undefined, `${key} was ${counter.value} and is gone`);
      assert.equal(kv.value.toString(), `${counter.value + 1n}`, key);
      counter.value += 1n;
      counter.modRevision = kv.mod_revision;
    }
  }

  /** After a restart: what was acknowledged last is there, and the store has not gone back. */
  async verifyRecent(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const rpc = new EtcdRpc(this.#address);
    try {
      const keys = this.#recent.splice(0).slice(-RECENT);
      for (let i = 0; i < keys.length; i += KEYS_PER_TXN) {
        const batch = keys.slice(i, i + KEYS_PER_TXN);
        const promised = this.#highestRevision;
        const txn = await rpc.call('KV.Txn', { success: batch.map((key) => ({ request_range: { key } })) });
        assert(txn.header!.revision >= promised, 'the store went back in time');
        for (const [at, key] of batch.entries())
          this.#verifyKey(key, txn.responses[at]!.response_range!.kvs[0]);
      }
    } finally {
      rpc.close();
    }
  }

  #verifyKey(key: string, kv: KeyValue | undefined): void {
    const { value, revision } = this.#written.get(key)!;
    assert(kv !== undefined, `${key}, acknowledged at revision ${revision}, is lost`);
    assert.equal(kv.value.toString(), value, key);
    assert.equal(kv.mod_revision, revision, key);
  }

  /** Accounts for every key in the store. Only when stopped. */
  async verifyAll(): Promise<void> {
    if (this.#failure !== null) throw this.#failure;
    const rpc = new EtcdRpc(this.#address);
    try {
      const range = await rpc.call('KV.Range', { key: 'unique/', range_end: 'unique0' }, 60_000);
      let found = 0;
      for (const kv of range.kvs) {
        const key = kv.key.toString();
        const acknowledged = this.#written.get(key);
        assert.equal(kv.version, 1n, `${key} was written ${kv.version} times`);
        if (acknowledged === undefined) {
          assert.equal(kv.value.toString(), this.#unanswered.get(key), `${key} was never sent`);
          continue;
        }
        found++;
        assert.equal(kv.value.toString(), acknowledged.value, key);
        assert.equal(kv.mod_revision, acknowledged.revision, key);
      }
      assert.equal(found, this.#written.size, 'acknowledged writes are lost');
      await this.#verifyCounters(rpc);
    } finally {
      rpc.close();
    }
  }

  async #verifyCounters(rpc: EtcdRpc): Promise<void> {
    for (const [index, counter] of this.#counters.entries()) {
      const { kvs } = await rpc.call('KV.Range', { key: `counter/${index}` });
      const value = BigInt(kvs[0]?.value.toString() ?? '0');
      // The version counts the writes that took place: each increment took place once.
      assert.equal(kvs[0]?.version ?? 0n, value, `counter ${index}`);
      // The last attempt may have been carried out without an answer.
      assert(
        value === counter.value || value === counter.value + 1n,
        `counter ${index}: ${value}, not ${counter.value}`,
      );
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}
