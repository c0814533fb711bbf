/**
 * Clients that ask one thing after the other of members chosen at random, holders of leases, and watchers: whatever they are told goes into the
 * history. They go on through every fault, as clients do.
 */
import {
  decodeLeaseGrantResponse,
  encodeLeaseGrantRequest,
  encodeLeaseRevokeRequest,
  LeaseGrantRequest,
  LeaseRevokeRequest,
} from '@etcd/api/etcdserverpb';
import type { KeyValue } from '@etcd/api/mvccpb';
import type { SeededRandom } from '@etcd/base';
import { sleep } from '../support/run.ts';
import { asRpcError, type Endpoint, Endpoints, failureText, kindOfFailure } from './endpoints.ts';
import type { History } from './history.ts';
import { LeaseStream } from './lease-stream.ts';
import { type Answer, type Asked, RequestSource } from './requests.ts';
import type { Users } from './users.ts';
import { drawRange, Watcher } from './watcher.ts';

export interface TrafficOptions {
  readonly endpoints: () => readonly Endpoint[];
  /** Those whom watchers ask. */
  readonly watched: () => readonly Endpoint[];
  readonly history: History;
  readonly random: SeededRandom;
  readonly clients: number;
  readonly watchers: number;
  readonly leaseHolders: number;
  /** Mean pause of a client after an answer. */
  readonly pauseMs: number;
  readonly users: Users;
}

const DEADLINE_MS = 4000;
const RETRY_MS = 50;
const MAX_LEASE_PAUSE_MS = 1500;
/** Shorter ones are lengthened by the members. */
const MIN_TTL_S = 2;
const MAX_TTL_S = 5;

export class Traffic {
  readonly #options: TrafficOptions;
  readonly #endpoints: Endpoints;
  readonly #ofRoot: Endpoints;
  readonly #running: Promise<void>[] = [];
  readonly #watchers: Watcher[] = [];
  readonly #known = new Map<string, KeyValue | null>();
  #isStopping = false;
  /** Requests that changed something and were answered. */
  acknowledged = 0;
  #lastAcknowledgedMs = performance.now();
  longestOutageMs = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
    this.#endpoints = new Endpoints(options.endpoints, options.users.client);
    this.#ofRoot = new Endpoints(options.endpoints, options.users.root);
  }

  start(): void {
    const { random, clients, watchers, leaseHolders, watched, history, users } = this.#options;
    this.#lastAcknowledgedMs = performance.now();
    for (let i = 0; i < clients; i++) this.#running.push(this.#ask(`c${i}`, random.fork()));
    for (let i = 0; i < leaseHolders; i++) this.#running.push(this.#hold(`h${i}`, random.fork()));
    for (let i = 0; i < watchers; i++) {
      const range = drawRange(random, i === 0);
      const common = { endpoints: watched, history, metadata: users.client, random: random.fork() };
      const watcher = new Watcher({ ...common, name: `w${i}`, range });
      this.#watchers.push(watcher);
      watcher.start();
    }
  }

  /** No more requests; watchers go on. */
  async stopAsking(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#running);
  }

  /** Whether all watchers have been told that they know everything up to what was seen. */
  get watchersKnowAll(): boolean {
    return this.#watchers.every((watcher) => watcher.asksWhetherKnows(this.#options.history.seenRevision));
  }

  stop(): void {
    for (const watcher of this.#watchers) watcher.stop();
    this.#endpoints.close();
    this.#ofRoot.close();
  }

  async #ask(name: string, random: SeededRandom): Promise<void> {
    const source = new RequestSource(name, random, this.#options.history, this.#known);
    while (!this.#isStopping) {
      const answer = await this.#attempt(source.draw(), random);
      await sleep(answer === null ? RETRY_MS : random.below(2 * this.#options.pauseMs));
    }
  }

  /** Has leases one after the other, each with a key, keeps them for a while, and lets them go. */
  async #hold(name: string, random: SeededRandom): Promise<void> {
    const source = new RequestSource(name, random, this.#options.history, this.#known);
    const stream = new LeaseStream(this.#endpoints, this.#options.history, random);
    for (let i = 0; !this.#isStopping; i++) {
      const id = await this.#grant(random);
      if (id === null) continue;
      await this.#attempt(source.put(`l${name}${i % 4}`, id), random);
      for (let left = random.below(8); left > 0 && !this.#isStopping; left--) {
        stream.renew(id);
        await sleep(random.below(MAX_LEASE_PAUSE_MS));
      }
      if (random.chance(0.3)) await this.#revoke(id, random);
    }
    stream.close();
  }

  async #grant(random: SeededRandom): Promise<bigint | null> {
    const { history } = this.#options;
    const ttl = MIN_TTL_S + random.below(MAX_TTL_S - MIN_TTL_S + 1);
    const askedMs = performance.now();
    let granted: bigint | null = null;
    const asked: Asked = {
      kind: 'lease grant',
      text: `grant ${ttl} s`,
      path: '/etcdserverpb.Lease/LeaseGrant',
      request: encodeLeaseGrantRequest(new LeaseGrantRequest({ ttl })),
      value: null,
      read: (bytes): Answer => {
        const { id, ttl: seconds } = decodeLeaseGrantResponse(bytes);
        const facts = { ttlMs: seconds * 1000, renewedMs: askedMs, isRevocable: false, goneMs: null };
        history.leases.set(id, { id, ...facts });
        granted = id;
        return { revision: 0, judge: () => null };
      },
    };
    if ((await this.#attempt(asked, random)) === null) await sleep(RETRY_MS);
    return granted;
  }

  async #revoke(id: bigint, random: SeededRandom): Promise<void> {
    this.#options.history.leases.get(id)!.isRevocable = true;
    const asked: Asked = {
      kind: 'lease revoke',
      text: `revoke ${id.toString(16)}`,
      path: '/etcdserverpb.Lease/LeaseRevoke',
      request: encodeLeaseRevokeRequest(new LeaseRevokeRequest({ id })),
      value: null,
      read: () => ({
        revision: 0,
        judge: ({ model }) => (model.leases.has(id) ? `lease ${id} was revoked but is there` : null),
      }),
    };
    await this.#attempt(asked, random);
  }

  /** One attempt through one member; null if it failed. */
  async #attempt(asked: Asked, random: SeededRandom): Promise<Answer | null> {
    const { history } = this.#options;
    const bounds = { seenRevision: history.seenRevision };
    const endpoints = asked.isForRoot === true ? this.#ofRoot : this.#endpoints;
    const { name, rpc } = endpoints.pick((count) => random.below(count));
    try {
      const answer = asked.read(await rpc.callRaw(asked.path, asked.request, DEADLINE_MS));
      history.count(asked.kind);
      history.answered.push({ text: asked.text, by: name, bounds, judge: answer.judge });
      history.see(answer.revision);
      if (asked.value !== null) this.#acknowledge();
      return answer;
    } catch (thrown) {
      const error = asRpcError(thrown);
      const kind = kindOfFailure(error);
      history.fail(failureText(asked.kind, error));
      if (kind === 'odd') history.oddErrors.push(`${asked.text}, by ${name}: ${error.message}`);
      if (kind === 'refused' && asked.value !== null) history.forbidden.add(asked.value);
      return null;
    }
  }

  #acknowledge(): void {
    const nowMs = performance.now();
    this.acknowledged++;
    this.longestOutageMs = Math.max(this.longestOutageMs, nowMs - this.#lastAcknowledgedMs);
    this.#lastAcknowledgedMs = nowMs;
  }
}
