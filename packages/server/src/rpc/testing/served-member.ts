/**
 * A member as its services see it, for tests: the production services, dispatcher and gRPC on both ends of a connection in
 * memory, before applied state that has no log behind it but a list. What a test does not set is as on a member that leads
 * and is well.
 */
import { encode, INTERNAL_ERRORS, type InternalError, type Method, type MethodKind } from '@etcd/api';
import { GrpcCode, type Logger, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { type Identity, NO_IDENTITY } from '@etcd/storage/auth';
import { promoteMemberChange } from '@etcd/storage/membership';
import { WatchHub } from '@etcd/storage/mvcc';
import {
  type ClientCall,
  type ClientReceiver,
  GrpcChannel,
  GrpcServer,
  type Metadata,
  memoryDuplexPair,
  NO_METADATA,
} from '@etcd/transport';
import type { Access } from '../../apply/index.ts';
import { SingleLog, type SingleLogOptions } from '../../apply/testing/single-log.ts';
import { LeaseRequests, Proposals } from '../../cluster/index.ts';
import { parseFeatureGates } from '../../config/feature-gates.ts';
import type { EntryMoments } from '../../consensus/index.ts';
import type { Reader } from '../../request/index.ts';
import type { Callers } from '../callers.ts';
import type { MemberFacts, Requests } from '../member.ts';
import { type RunningServices, registerServices, type ServedMember } from '../services.ts';

export interface ServedMemberOptions extends SingleLogOptions {
  readonly config?: Partial<MemberFacts['config']>;
}

export interface Answered<Response> {
  readonly code: number;
  readonly message: string;
  /** null unless the code is OK. */
  readonly response: Response | null;
}

/** Nobody has a certificate. */
const PLAIN = { client: { clientCertAuth: false } } as MemberFacts['config']['tls'];

const CONFIG: MemberFacts['config'] = {
  electionTimeoutMs: 1000,
  featureGates: parseFeatureGates('').gates!,
  maxRequestBytes: 1.5 * 1024 * 1024,
  maxTxnOps: 128,
  minPasswordLength: 0,
  quotaBackendBytes: -1,
  strictReconfigCheck: true,
  warningApplyDurationMs: 100,
  warningUnaryRequestDurationMs: 300,
  watchProgressNotifyIntervalMs: 600_000,
  tls: PLAIN,
};

export class FakeMember implements ServedMember {
  readonly log: SingleLog;
  readonly config: MemberFacts['config'];
  readonly logger: Logger = SILENT_LOGGER;
  readonly random = new SeededRandom(1);
  readonly clusterId = 7n;
  readonly watches: WatchHub;
  readonly proposals: Proposals;
  readonly leases: LeaseRequests;
  readonly reconfiguration: Requests['reconfiguration'];
  readonly leadership: Requests['leadership'];
  readonly integrity = { fence: { whenRaised: (then: () => void) => void this.#onFenced.push(then) } };
  /** Whom the leadership was to be given to. */
  readonly movedTo: bigint[] = [];
  /** Who calls, by the token that comes with the call. */
  readonly users = new Map<string, Identity>();
  /** Calls with a token that is not known yet: whoever is told decides whose it is. Null: a token that is not known is none. */
  resolving: ((identity: Identity | null) => void)[] | null = null;
  leader: bigint;
  isLearner = false;
  isFenced = false;
  /** Where the quorum is waited for that confirms that this member leads; null: it does so at once. */
  confirming: (() => void)[] | null = null;
  /** What a reader is told instead of that it may read. */
  readError: InternalError | null = null;
  readonly services: RunningServices;
  readonly grpc: GrpcServer;
  readonly #onFenced: (() => void)[] = [];
  readonly #channel: GrpcChannel;

  constructor(options: ServedMemberOptions = {}) {
    this.log = new SingleLog(options);
    const { log } = this;
    const { clock, lessor, membership, ids } = log;
    this.config = { ...CONFIG, ...options.config };
    this.leader = log.memberId;
    this.watches = new WatchHub(log.store);
    lessor.promote(0);
    this.proposals = new Proposals({
      metrics: this.metrics.handles,
      ids,
      clock,
      membership,
      releases: { whoCanNotRead: () => null },
      maxRequestBytes: this.config.maxRequestBytes,
      pending: log.pending,
      leaderIdentity: () => log.auth.ownIdentity,
      isStopped: () => false,
      isBehind: () => false,
      queue: {
        hasRoom: true,
        propose: (data) => clock.defer(() => log.append(data)),
        proposeAsLeader: (data) => clock.defer(() => log.append(data)),
        proposeConfChange: (change) => clock.defer(() => log.appendConfChange(change)),
      },
    });
    this.leases = new LeaseRequests({
      lessor,
      ids,
      clock,
      leader: {
        renewLease: (_id, done) => done(INTERNAL_ERRORS.errors.ErrNoLeader, null),
        leaseTimeToLive: (_id, _keys, done) => done(INTERNAL_ERRORS.errors.ErrNoLeader, null),
      },
      confirmLeadership: (then) => {
        const confirm = (): void => then(this.leader === log.memberId);
        if (this.confirming === null) confirm();
        else this.confirming.push(confirm);
      },
      whenCaughtUp: (then) => then(true),
      onRenewed: () => {},
    });
    this.reconfiguration = {
      facts: {
        members: membership.members(),
        localId: log.memberId,
        isConnected: () => true,
        isActive: () => true,
      },
      change: (change, waiter) => this.proposals.proposeConfChange(change, waiter),
      promote: (id, waiter) => this.proposals.proposeConfChange(promoteMemberChange(id), waiter),
    };
    this.leadership = {
      moveTo: (id, done) => {
        this.movedTo.push(id);
        done(null);
      },
    };
    this.grpc = new GrpcServer({ clock });
    this.services = registerServices(this, this.grpc, options.hasUsers === true ? undefined : this.#named());
    const [ours, theirs] = memoryDuplexPair({ clock });
    this.grpc.accept(theirs);
    this.#channel = new GrpcChannel(ours, { clock, authority: 'member' });
    clock.settle();
  }

  /** Callers are those of {@link users}. */
  #named(): Callers {
    return {
      identify: (call) => {
        const token = call.metadata('token');
        return token === null ? NO_IDENTITY : (this.users.get(token) ?? null);
      },
      resolveThen: (_call, done) => {
        if (this.resolving === null) done(null);
        else this.resolving.push(done);
      },
    };
  }

  get clock(): SingleLog['clock'] {
    return this.log.clock;
  }

  get metrics(): MemberFacts['metrics'] {
    return { handles: this.log.metrics };
  }

  get memberId(): bigint {
    return this.log.memberId;
  }

  get term(): number {
    return this.log.appliedTerm;
  }

  get committedIndex(): number {
    return this.log.appliedIndex;
  }

  readonly phases = { of: (): EntryMoments | null => this.moments };
  /** Of every entry. */
  moments: EntryMoments | null = null;

  get appliedIndex(): number {
    return this.log.appliedIndex;
  }

  get store(): SingleLog['store'] {
    return this.log.store;
  }

  get lessor(): SingleLog['lessor'] {
    return this.log.lessor;
  }

  get backend(): SingleLog['backend'] {
    return this.log.backend;
  }

  get membership(): SingleLog['membership'] {
    return this.log.membership;
  }

  get alarms(): SingleLog['alarms'] {
    return this.log.alarms;
  }

  get quota(): SingleLog['quota'] {
    return this.log.quota;
  }

  get auth(): SingleLog['auth'] {
    return this.log.auth;
  }

  get authentication(): SingleLog['authentication'] {
    return this.log.authentication;
  }

  get access(): Access {
    return this.log.access;
  }

  read(reader: Reader): void {
    this.clock.defer(() => {
      if (this.readError !== null) reader.onUnreadable(this.readError);
      else reader.onReadable();
    });
  }

  readLocally(reader: Reader): void {
    reader.onReadable();
  }

  onNoSpace(then: () => void): void {
    this.log.onNoSpace(then);
  }

  setDowngrade(...[request, identity, waiter]: Parameters<Requests['setDowngrade']>): void {
    this.proposals.propose('downgradeInfoSet', request, identity, waiter);
  }

  /** Says whose the tokens are that were waited for. */
  resolve(identity: Identity | null): void {
    for (const done of this.resolving?.splice(0) ?? []) done(identity);
    this.clock.settle();
  }

  fence(): void {
    this.isFenced = true;
    for (const then of this.#onFenced) then();
    this.clock.settle();
  }

  /** One request; what has been answered when everything has come to rest, null if nothing was. */
  call<Request, Response>(
    method: Method<'unary', Request, Response>,
    request: NoInfer<Request>,
    metadata: Metadata = NO_METADATA,
  ): Answered<Response> | null {
    return this.callWith(method, encode(method.request, request), metadata);
  }

  /** The same with a request that need not be one. */
  callWith<Request, Response>(
    method: Method<'unary', Request, Response>,
    request: Uint8Array,
    metadata: Metadata = NO_METADATA,
  ): Answered<Response> | null {
    let answered: Answered<Response> | null = null;
    this.#channel.unary(
      method.path,
      request,
      (code, message, bytes, start, end) => {
        const response = code === GrpcCode.OK ? method.response.decode(bytes.slice(start, end)) : null;
        answered = { code, message, response };
      },
      { metadata },
    );
    this.clock.settle();
    return answered;
  }

  /** {@link call}, which has to be answered with a response. */
  ask<Request, Response>(
    method: Method<'unary', Request, Response>,
    request: NoInfer<Request>,
    metadata: Metadata = NO_METADATA,
  ): Response {
    const answered = this.call(method, request, metadata);
    if (answered === null) throw new Error(`${method.path} has not been answered`);
    if (answered.response === null) throw new Error(`${method.path}: ${answered.message}`);
    return answered.response;
  }

  /** A stream of which the test says what is sent. */
  open<Request, Response>(
    method: Method<MethodKind, Request, Response>,
    metadata: Metadata = NO_METADATA,
  ): TestStream<Request, Response> {
    return new TestStream(this, this.#channel, method, metadata);
  }
}

export class TestStream<Request, Response> implements ClientReceiver {
  readonly responses: Response[] = [];
  end: { readonly code: number; readonly message: string } | null = null;
  readonly #member: FakeMember;
  readonly #method: Method<MethodKind, Request, Response>;
  readonly #call: ClientCall;

  constructor(
    member: FakeMember,
    channel: GrpcChannel,
    method: Method<MethodKind, Request, Response>,
    metadata: Metadata,
  ) {
    this.#member = member;
    this.#method = method;
    this.#call = channel.call(method.path, this, { metadata });
    member.clock.settle();
  }

  get isOpen(): boolean {
    return this.end === null;
  }

  /** Sends a request; everything has come to rest when this returns. */
  send(request: Request): void {
    this.sendBytes(encode(this.#method.request, request));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#call.write(bytes);
    this.#member.clock.settle();
  }

  halfClose(): void {
    this.#call.halfClose();
    this.#member.clock.settle();
  }

  /** Takes no more messages until the end. */
  stopReading(): void {
    this.#call.pause();
  }

  readAgain(): void {
    this.#call.resume();
    this.#member.clock.settle();
  }

  cancel(): void {
    this.cancelSoon();
    this.#member.clock.settle();
  }

  /** The same without waiting for what comes of it. */
  cancelSoon(): void {
    this.#call.cancel();
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.responses.push(this.#method.response.decode(bytes.slice(start, end)));
  }

  onEnd(_call: ClientCall, code: number, message: string): void {
    this.end = { code, message };
  }
}
