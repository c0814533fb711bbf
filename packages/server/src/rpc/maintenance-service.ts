/**
 * The Maintenance service: the state of this member, its alarms, its hashes, copies of its database. What takes many turns is of one
 * state to its end, whatever becomes of the store meanwhile: a copy and a hash of the file read in a transaction of their own,
 * which keeps a replaced file too, and HashKV holds a view. A defragmentation ends with the file that it was about.
 */
import { createHash } from 'node:crypto';
import { INTERNAL_ERRORS, type InternalError, type Revision } from '@etcd/api';
import {
  type AlarmMember,
  type AlarmRequest,
  AlarmResponse,
  AlarmResponseCodec,
  AlarmType,
  DefragmentResponse,
  DefragmentResponseCodec,
  DowngradeAction,
  DowngradeInfo,
  type DowngradeRequest,
  DowngradeResponse,
  DowngradeResponseCodec,
  type HashKVRequest,
  HashKVResponse,
  HashKVResponseCodec,
  HashResponse,
  HashResponseCodec,
  type MoveLeaderRequest,
  MoveLeaderResponse,
  MoveLeaderResponseCodec,
  SnapshotResponse,
  SnapshotResponseCodec,
  StatusResponse,
  StatusResponseCodec,
} from '@etcd/api/etcdserverpb';
import { DowngradeInfoSetRequest } from '@etcd/api/membershippb';
import { GrpcCode } from '@etcd/base';
import type { Identity } from '@etcd/storage/auth';
import type { BackendSnapshot } from '@etcd/storage/backend';
import {
  formatClusterVersion,
  formatVersion,
  type DowngradeInfo as MembershipDowngradeInfo,
  NO_DOWNGRADE,
  parseDowngradeTarget,
  validateDowngrade,
} from '@etcd/storage/membership';
import { isIgnoredInHash, readStorageVersion } from '@etcd/storage/schema';
import type { CallReceiver } from '@etcd/transport';
import { ETCD_VERSION } from '../config/index.ts';
import type { Waiter } from '../request/index.ts';
import { followProposal } from './call-parts.ts';
import type { HealthService } from './health-service.ts';
import type { MemberFacts, Requests } from './member.ts';
import type { Call } from './row.ts';
import { answer, type RpcContext, refuseInternal, send } from './rpc-context.ts';
import { READS_DATABASE } from './verdicts.ts';

const { ErrNoLeader, ErrUnknownMethod, ErrWrongDowngradeVersionFormat } = INTERNAL_ERRORS.errors;

export class MaintenanceService {
  readonly #context: RpcContext;
  readonly #member: MemberFacts;
  readonly #requests: Requests;
  readonly #health: HealthService;

  constructor(context: RpcContext, health: HealthService) {
    this.#context = context;
    this.#member = context.member;
    this.#requests = context.requests;
    this.#health = health;
  }

  status(call: Call<StatusResponse>): void {
    const member = this.#member;
    const { backend, quota, membership } = member;
    const errors = member.leader === 0n ? [ErrNoLeader.message] : [];
    const { enabled, targetVersion } = membership.downgrade;
    const storageVersion = readStorageVersion(backend);
    const response = new StatusResponse({
      header: this.#context.header.header(member.store.revision),
      version: ETCD_VERSION,
      dbSize: backend.sizeBytes,
      dbSizeInUse: backend.sizeInUseBytes,
      dbSizeQuota: Number.isFinite(quota.limitBytes) ? quota.limitBytes : member.config.quotaBackendBytes,
      leader: member.leader,
      raftIndex: member.committedIndex,
      raftAppliedIndex: member.appliedIndex,
      raftTerm: member.term,
      isLearner: member.isLearner,
      storageVersion: storageVersion === null ? '' : `${storageVersion.major}.${storageVersion.minor}.0`,
      downgradeInfo: new DowngradeInfo({ enabled, targetVersion }),
      errors: [...errors, ...member.alarms.list(AlarmType.NONE).map(alarmText)],
    });
    answer(call, StatusResponseCodec, response);
  }

  alarm(call: Call<AlarmResponse>, request: AlarmRequest, identity: Identity): void {
    const waiter: Waiter<'alarm'> = {
      kind: 'alarm',
      request: null,
      onApplied: ({ alarms }) => {
        const header = this.#context.header.header(this.#member.store.revision);
        answer(call, AlarmResponseCodec, new AlarmResponse({ header, alarms: [...alarms] }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    };
    const followed = call.trace === null ? null : followProposal(call.trace, waiter);
    this.#requests.proposals.propose('alarm', request, identity, followed ?? waiter);
    followed?.onProposed();
  }

  /** Goes on while the member serves: pages move down into free places, and the file gets shorter. */
  defragment(call: Call<DefragmentResponse>): void {
    const { logger, backend, clock, metrics } = this.#member;
    logger.info('starting defragment');
    this.#health.onDefragment(true);
    const startMs = clock.now();
    backend.defragThen((error) => {
      this.#health.onDefragment(false);
      if (error !== null) {
        logger.warn('failed to defragment', { error: error.message });
        return call.fail(GrpcCode.Unknown, error.message);
      }
      metrics.handles.backendDefragDurationSeconds.observe((clock.now() - startMs) / 1000);
      logger.info('finished defragment');
      answer(call, DefragmentResponseCodec, new DefragmentResponse());
    });
  }

  hash(call: Call<HashResponse>, identity: Identity): void {
    this.#whenReadable(call, () => this.#hash(call, identity));
  }

  #hash(call: Call<HashResponse>, identity: Identity): void {
    const { backend, store, clock, metrics } = this.#member;
    const { revision } = store;
    const startMs = clock.now();
    backend.hashThen(isIgnoredInHash, (error, hash) => {
      if (error !== null) return call.fail(GrpcCode.Unknown, error.message);
      metrics.handles.hashDurationSeconds.observe((clock.now() - startMs) / 1000);
      const refusal = this.#refusal(identity);
      if (refusal !== null) return void refuseInternal(call, refusal);
      const header = this.#context.header.header(revision);
      answer(call, HashResponseCodec, new HashResponse({ header, hash }));
    });
  }

  hashKv(call: Call<HashKVResponse>, request: HashKVRequest, identity: Identity): void {
    this.#whenReadable(call, () => this.#hashKv(call, request.revision, identity));
  }

  #hashKv(call: Call<HashKVResponse>, revision: Revision, identity: Identity): void {
    const { store, clock, metrics } = this.#member;
    const startMs = clock.now();
    store.hashes.hashByRevThen(revision, (error, found, currentRevision) => {
      if (error !== null) return void refuseInternal(call, error);
      metrics.handles.hashRevDurationSeconds.observe((clock.now() - startMs) / 1000);
      const refusal = this.#refusal(identity);
      if (refusal !== null) return void refuseInternal(call, refusal);
      const { hash, compactRevision, revision: hashRevision } = found!;
      const header = this.#context.header.header(currentRevision);
      answer(call, HashKVResponseCodec, new HashKVResponse({ header, hash, compactRevision, hashRevision }));
    });
  }

  /** At once, unless the store is being replaced by the leader's: what is half loaded is not hashed. */
  #whenReadable<T>(call: Call<T>, then: () => void): void {
    this.#requests.readLocally({
      onReadable: then,
      onUnreadable: (error) => void refuseInternal(call, error),
    });
  }

  moveLeader(call: Call<MoveLeaderResponse>, request: MoveLeaderRequest): void {
    this.#requests.leadership.moveTo(request.targetId, (error) => {
      if (error !== null) return void refuseInternal(call, error);
      // As etcd: without a header.
      answer(call, MoveLeaderResponseCodec, new MoveLeaderResponse());
    });
  }

  /** Says whether the cluster can go down by one minor version, begins to, or gives it up. */
  downgrade(call: Call<DowngradeResponse>, { action, version }: DowngradeRequest, identity: Identity): void {
    if (action === DowngradeAction.CANCEL) return this.#setDowngrade(call, NO_DOWNGRADE, '', identity);
    if (action !== DowngradeAction.VALIDATE && action !== DowngradeAction.ENABLE) {
      return void refuseInternal(call, ErrUnknownMethod);
    }
    const target = parseDowngradeTarget(version);
    if (target === null) return void refuseInternal(call, ErrWrongDowngradeVersionFormat);
    // Whether one is under way is known for sure only by who has applied everything.
    this.#requests.read({
      onReadable: () => {
        const { version: clusterVersion, downgrade } = this.#member.membership;
        const refusal = validateDowngrade(target, clusterVersion, downgrade);
        if (refusal !== null) return void refuseInternal(call, refusal);
        if (action === DowngradeAction.VALIDATE)
          return this.#answerDowngrade(call, formatClusterVersion(clusterVersion!));
        const info = { enabled: true, targetVersion: formatVersion(target) };
        this.#setDowngrade(call, info, formatClusterVersion(target), identity);
      },
      onUnreadable: (error) => void refuseInternal(call, error),
    });
  }

  #setDowngrade(
    call: Call<DowngradeResponse>,
    { enabled, targetVersion }: MembershipDowngradeInfo,
    version: string,
    identity: Identity,
  ): void {
    const request = new DowngradeInfoSetRequest({ enabled, ver: targetVersion });
    this.#requests.setDowngrade(request, identity, {
      kind: 'downgradeInfoSet',
      request: null,
      onApplied: () => this.#answerDowngrade(call, version),
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  #answerDowngrade(call: Call<DowngradeResponse>, version: string): void {
    const header = this.#context.header.header(this.#member.store.revision);
    answer(call, DowngradeResponseCodec, new DowngradeResponse({ header, version }));
  }

  snapshot(call: Call<SnapshotResponse>, identity: Identity): void {
    const { backend } = this.#member;
    const storageVersion = readStorageVersion(backend);
    const version = storageVersion === null ? '' : `${storageVersion.major}.${storageVersion.minor}.0`;
    backend.snapshotThen((error, snapshot) => {
      if (error !== null) return call.fail(GrpcCode.Unknown, error.message);
      const refusal = (): InternalError | null => this.#refusal(identity);
      new SnapshotStream(call, snapshot!, version, this.#member, refusal).start();
    });
  }

  /** Why its client must not be told (any more) what the database holds: users and roles may have changed since it asked. */
  #refusal(identity: Identity): InternalError | null {
    return this.#context.judgeRead(READS_DATABASE, identity, NOTHING_ELSE);
  }
}

/** It is all of the database that is read, whatever the request says. */
const NOTHING_ELSE = {};

/** An alarm as text, as Go prints the message. */
function alarmText({ memberId, alarm }: AlarmMember): string {
  const name = ['NONE', 'NOSPACE', 'CORRUPT'][alarm] ?? String(alarm);
  return `memberID:${memberId} alarm:${name}`;
}

/** Size of the pieces in which a database is sent. */
const BLOB_BYTES = 32 * 1024;

/**
 * Sends a copy of the database, piece by piece as the client takes it, and at last the SHA-256 of all of it. Each piece is judged again
 * before it is sent: a copy may take hours.
 */
class SnapshotStream implements CallReceiver {
  readonly #call: Call<SnapshotResponse>;
  readonly #snapshot: BackendSnapshot;
  readonly #version: string;
  readonly #member: MemberFacts;
  readonly #refusal: () => InternalError | null;
  readonly #hash = createHash('sha256');
  readonly #startMs: number;
  #remaining: number;
  #isReading = false;
  #isClosed = false;

  constructor(
    call: Call<SnapshotResponse>,
    snapshot: BackendSnapshot,
    version: string,
    member: MemberFacts,
    refusal: () => InternalError | null,
  ) {
    this.#refusal = refusal;
    this.#call = call;
    this.#snapshot = snapshot;
    this.#version = version;
    this.#member = member;
    this.#remaining = snapshot.sizeBytes;
    this.#startMs = member.clock.now();
  }

  start(): void {
    this.#call.receiver = this;
    if (!this.#call.isAlive) return this.#close();
    this.#member.logger.info('sending database snapshot to client', {
      'total-bytes': this.#snapshot.sizeBytes,
      'storage-version': this.#version,
    });
    this.#next();
  }

  onWritable(): void {
    this.#next();
  }

  onCancel(): void {
    this.#close();
  }

  #next(): void {
    if (this.#isReading || this.#isClosed) return;
    if (this.#remaining === 0) return this.#finish();
    this.#isReading = true;
    const blob = Buffer.allocUnsafe(Math.min(BLOB_BYTES, this.#remaining));
    this.#snapshot.readThen(blob, (error, bytesRead) => {
      this.#isReading = false;
      if (!this.#call.isAlive) return this.#close();
      if (error !== null || bytesRead !== blob.length) {
        this.#call.fail(GrpcCode.Unknown, error?.message ?? 'the database is shorter than it should be');
        return this.#close();
      }
      if (!this.#isPermitted()) return;
      this.#hash.update(blob);
      this.#remaining -= blob.length;
      if (this.#send(this.#remaining, blob)) this.#next();
    });
  }

  /** Ends the copy otherwise. */
  #isPermitted(): boolean {
    const refusal = this.#refusal();
    if (refusal === null) return true;
    this.#member.logger.warn('stopped sending database snapshot to client', {
      'remaining-bytes': this.#remaining,
      error: refusal.message,
    });
    refuseInternal(this.#call, refusal);
    this.#close();
    return false;
  }

  #finish(): void {
    if (!this.#isPermitted()) return;
    const digest = this.#hash.digest();
    this.#member.logger.info('sending database sha256 checksum to client', {
      'total-bytes': this.#snapshot.sizeBytes,
      'checksum-size': digest.length,
    });
    this.#send(0, digest);
    this.#call.end();
    const { backendSnapshotDurationSeconds } = this.#member.metrics.handles;
    const seconds = (this.#member.clock.now() - this.#startMs) / 1000;
    backendSnapshotDurationSeconds.observe(seconds);
    this.#member.logger.info('successfully sent database snapshot to client', {
      'total-bytes': this.#snapshot.sizeBytes,
      took: `${seconds.toFixed(3)}s`,
    });
    this.#close();
  }

  #send(remainingBytes: number, blob: Uint8Array): boolean {
    const response = new SnapshotResponse({ remainingBytes, blob, version: this.#version });
    send(this.#call, SnapshotResponseCodec, response);
    return this.#call.hasRoom;
  }

  /** The pages of the copied state may be used again. */
  #close(): void {
    if (this.#isClosed || this.#isReading) return;
    this.#isClosed = true;
    this.#snapshot.close();
  }
}
