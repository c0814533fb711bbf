/**
 * A member as comparing data sees it, on simulated time and disk, and others around it that answer as a test tells them to.
 * Applied changes are real hashes; whole stores are what a test says that they hash to.
 */
import type { InternalError } from '@etcd/api';
import { SeededRandom } from '@etcd/base';
import { createLogger, MemorySink } from '@etcd/host/logging';
import { RevisionLog } from '@etcd/storage/backend';
import type { Member } from '@etcd/storage/membership';
import type { HashCallback, KeyValueHash, Store } from '@etcd/storage/mvcc';
import { SimClock, SimDisk } from '@etcd/testing';
import { parseFeatureGates } from '../../config/feature-gates.ts';
import { createHandles } from '../../metrics/metric-table.ts';
import type { PeerNetwork, PeerRequest, PeerResponse } from '../../peer/index.ts';
import { ChangeHashes } from '../change-hashes.ts';
import type { IntegrityHost } from '../integrity-host.ts';
import { answerStateHash, parseStateHashQuestion } from '../state-hash-protocol.ts';

export const SELF = 1n;
export const SECOND = 2n;
export const THIRD = 3n;
const REQUEST_TIMEOUT_MS = 7000;

/** What a member has applied: one change per revision, from revision 2 on. */
export class Changes {
  readonly hashes = new ChangeHashes();
  readonly #log = new RevisionLog(1);

  /** Applies `count` changes; those at the revisions in `wrong` are not what the others applied. */
  apply(count: number, wrong: readonly number[] = []): void {
    for (let i = 0; i < count; i++) {
      const revision = this.#log.lastMain + 1;
      const bytes = Buffer.from(wrong.includes(revision) ? `wrong ${revision}` : `change ${revision}`);
      this.#log.reserve(revision, 0, false, bytes.length);
      this.#log.buffer.set(bytes, this.#log.start);
      this.hashes.onChanges(revision, this.#log);
    }
  }
}

type Answer = PeerResponse | 'nothing' | 'refused';

/** Another member, at the other end of {@link FakeNetwork}. */
export class OtherMember {
  readonly id: bigint;
  readonly changes = new Changes();
  /** What it says of its whole store; null: it is behind the revision asked for. */
  store: Omit<KeyValueHash, 'revision'> | null = { hash: 100, compactRevision: -1 };
  revision = 10;
  isLearner = false;
  isActive = true;
  /** Instead of the answer that its data give. */
  instead: ((request: PeerRequest) => Answer | null) | null = null;

  constructor(id: bigint) {
    this.id = id;
  }

  get url(): string {
    return `http://member${this.id}:2380`;
  }

  answer(request: PeerRequest): Answer {
    const instead = this.instead?.(request) ?? null;
    if (instead !== null) return instead;
    if (request.path === '/members/hashkv') return this.#hashKv();
    if (request.method === 'POST') return response(202, '');
    const question = parseStateHashQuestion(request.path);
    if (question === null) return response(400, '');
    return response(200, answerStateHash(this.changes.hashes, question));
  }

  #hashKv(): PeerResponse {
    if (this.store === null) return response(400, 'mvcc: required revision is a future revision\n');
    const { hash, compactRevision } = this.store;
    return hashAnswer(hash, compactRevision, this.revision);
  }
}

export function response(status: number, body: string): PeerResponse {
  return { status, body: Buffer.from(body) };
}

/** As etcd writes it: ids are numbers too large for JSON.parse. */
export function hashAnswer(hash: number, compactRevision: number, revision: number): PeerResponse {
  const header = `{"cluster_id":14841639068965178418,"member_id":10276657743932975437,"revision":${revision}}`;
  const body = `{"header":${header},"hash":${hash},"compact_revision":${compactRevision}}`;
  return response(200, body);
}

/** Answers in the next turn; who says nothing is waited for as long as the request may take. */
class FakeNetwork implements Pick<PeerNetwork, 'request'> {
  readonly asked: { readonly url: string; readonly request: PeerRequest; readonly atMs: number }[] = [];
  readonly #clock: SimClock;
  readonly #others: readonly OtherMember[];

  constructor(clock: SimClock, others: readonly OtherMember[]) {
    this.#clock = clock;
    this.#others = others;
  }

  request(
    url: string,
    request: PeerRequest,
    timeoutMs: number,
    done: (response: PeerResponse | null, reason: string) => void,
  ): void {
    this.asked.push({ url, request, atMs: this.#clock.now() });
    const other = this.#others.find((member) => member.url === url);
    const answer = other?.answer(request) ?? 'refused';
    if (answer === 'nothing') this.#clock.setTimer(timeoutMs, () => done(null, 'context deadline exceeded'));
    else if (answer === 'refused') this.#clock.defer(() => done(null, 'connection refused'));
    else this.#clock.defer(() => done(answer, ''));
  }
}

/** The member's own whole store: it is not looked into, only hashed. */
class OwnStore {
  isReady = true;
  isCompacting = false;
  revision = 10;
  hash = 100;
  compactRevision = -1;
  error: InternalError | null = null;
  tookMs = 0;
  hashedAtMs: number[] = [];
  readonly stored: KeyValueHash[] = [];
  readonly #clock: SimClock;

  constructor(clock: SimClock) {
    this.#clock = clock;
  }

  get hashes(): Pick<Store['hashes'], 'stored' | 'hashByRevThen'> {
    return {
      stored: this.stored,
      hashByRevThen: (revision: number, done: HashCallback) => {
        this.hashedAtMs.push(this.#clock.now());
        const hash = {
          hash: this.hash,
          compactRevision: this.compactRevision,
          revision: revision === 0 ? this.revision : revision,
        };
        const finish = (): void => {
          done(this.error, this.error === null ? hash : null, this.revision);
        };
        this.#clock.setTimer(this.tookMs, finish);
      },
    };
  }
}

export interface FakeHostOptions {
  /** `--feature-gates`. */
  readonly featureGates?: string;
  readonly corruptCheckTimeMs?: number;
  readonly compactHashCheckTimeMs?: number;
}

export class FakeHost implements IntegrityHost {
  readonly memberId = SELF;
  readonly config: IntegrityHost['config'];
  readonly clock = new SimClock();
  readonly disk = new SimDisk();
  readonly random = new SeededRandom(7);
  readonly sink = new MemorySink();
  readonly logger = createLogger({ level: 'info', sink: this.sink, clock: this.clock });
  readonly metrics = createHandles();
  readonly others: readonly OtherMember[];
  readonly fake: FakeNetwork;
  readonly ownStore = new OwnStore(this.clock);
  readonly changes = new Changes();
  readonly alarms: bigint[] = [];
  leads = true;
  asides = 0;
  currentError: InternalError | null = null;
  requestTimeoutMs = REQUEST_TIMEOUT_MS;
  #members: Member[];

  constructor(ids: readonly bigint[], options: FakeHostOptions = {}) {
    const { featureGates = '', corruptCheckTimeMs = 0, compactHashCheckTimeMs = 60_000 } = options;
    const { gates } = parseFeatureGates(featureGates);
    this.config = { featureGates: gates!, corruptCheckTimeMs, compactHashCheckTimeMs, dataDir: '/data' };
    this.disk.makeDirectory('/data/member', 0o700);
    this.others = ids.map((id) => new OtherMember(id));
    this.fake = new FakeNetwork(this.clock, this.others);
    this.#members = [SELF, ...ids].map((id) => ({
      id,
      name: `m${id}`,
      peerUrls: [`http://member${id}:2380`],
      clientUrls: [],
      isLearner: false,
    }));
  }

  get network(): PeerNetwork {
    return this.fake as Pick<PeerNetwork, 'request'> as PeerNetwork;
  }

  readonly store = (): Store => this.ownStore as Pick<Store, 'isReady' | 'revision'> as Store;
  readonly members = (): readonly Member[] =>
    this.#members.map((member) => ({ ...member, isLearner: this.#other(member.id)?.isLearner ?? false }));
  readonly isActive = (id: bigint): boolean => this.#other(id)?.isActive ?? false;
  readonly isLeader = (): boolean => this.leads;
  readonly whenCurrent: IntegrityHost['whenCurrent'] = (done) =>
    this.clock.defer(() => done(this.currentError));
  readonly raiseAlarm = (id: bigint): void => void this.alarms.push(id);
  readonly stepAside = (): void => void this.asides++;

  /** Everybody applies the same. */
  applyAll(count: number): void {
    for (const { changes } of [this, ...this.others]) changes.apply(count);
  }

  remove(id: bigint): void {
    this.#members = this.#members.filter((member) => member.id !== id);
  }

  /** Questions to a member, oldest first. */
  askedOf(id: bigint, path = ''): string[] {
    return this.fake.asked
      .filter(({ url, request }) => url === `http://member${id}:2380` && request.path.includes(path))
      .map(({ request }) => `${request.method} ${request.path}`);
  }

  lines(text: string): string[] {
    return this.sink.lines().filter((line) => line.includes(text));
  }

  #other(id: bigint): OtherMember | undefined {
    return this.others.find((member) => member.id === id);
  }
}
