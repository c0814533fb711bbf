/**
 * The Maintenance service: the state of this member, its alarms, its hashes, copies of its database. What takes many turns is of one
 * state to its end, whatever becomes of the store meanwhile: a copy and a hash of the file read in a transaction of their own,
 * which keeps a replaced file too, and HashKV holds a view. A defragmentation ends with the file that it was about.
 */
import { createHash } from 'node:crypto';
import { INTERNAL_ERRORS } from '@etcd/api';
import {
  type AlarmMember,
  AlarmRequestCodec,
  AlarmResponse,
  AlarmResponseCodec,
  AlarmType,
  DefragmentResponse,
  DefragmentResponseCodec,
  DowngradeAction,
  DowngradeInfo,
  DowngradeRequestCodec,
  DowngradeResponse,
  DowngradeResponseCodec,
  HashKVRequestCodec,
  HashKVResponse,
  HashKVResponseCodec,
  HashResponse,
  HashResponseCodec,
  MoveLeaderRequestCodec,
  MoveLeaderResponse,
  MoveLeaderResponseCodec,
  SnapshotResponse,
  SnapshotResponseCodec,
  StatusResponse,
  StatusResponseCodec,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
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
import type { CallReceiver, ServerCall } from '@etcd/transport';
import { ETCD_VERSION } from '../config/index.ts';
import type { EtcdServer } from '../member/index.ts';
import type { AlarmResult } from '../request/index.ts';
import { RequestField } from '../request/index.ts';
import type { HealthService } from './health-service.ts';
import { answer, decodeRequest, type RpcContext, refuseInternal } from './rpc-context.ts';

const { ErrNoLeader, ErrUnknownMethod, ErrWrongDowngradeVersionFormat } = INTERNAL_ERRORS.errors;

export function registerMaintenanceService(context: RpcContext, health: HealthService): void {
  const service = new MaintenanceService(context, health);
  const { grpc } = context;
  grpc.unary('/etcdserverpb.Maintenance/Status', (call) => service.status(call));
  grpc.unary('/etcdserverpb.Maintenance/Alarm', (...call) => service.alarm(...call));
  grpc.unary('/etcdserverpb.Maintenance/Defragment', (call) => service.defragment(call));
  grpc.unary('/etcdserverpb.Maintenance/Hash', (call) => service.hash(call));
  grpc.unary('/etcdserverpb.Maintenance/HashKV', (...call) => service.hashKv(...call));
  grpc.unary('/etcdserverpb.Maintenance/MoveLeader', (...call) => service.moveLeader(...call));
  grpc.unary('/etcdserverpb.Maintenance/Downgrade', (...call) => service.downgrade(...call));
  grpc.serverStream('/etcdserverpb.Maintenance/Snapshot', (call) => service.snapshot(call));
}

class MaintenanceService {
  readonly #context: RpcContext;
  readonly #server: EtcdServer;
  readonly #health: HealthService;

  constructor(context: RpcContext, health: HealthService) {
    this.#context = context;
    this.#server = context.server;
    this.#health = health;
  }

  status(call: ServerCall): void {
    const server = this.#server;
    if (!this.#context.admit(call, true)) return;
    const { backend, quota, membership } = server;
    const errors = server.leader === 0n ? [ErrNoLeader.message] : [];
    const { enabled, targetVersion } = membership.downgrade;
    const storageVersion = readStorageVersion(backend);
    const response = new StatusResponse({
      header: this.#context.header.header(server.store.revision),
      version: ETCD_VERSION,
      dbSize: backend.sizeBytes,
      dbSizeInUse: backend.sizeInUseBytes,
      dbSizeQuota: Number.isFinite(quota.limitBytes) ? quota.limitBytes : server.config.quotaBackendBytes,
      leader: server.leader,
      raftIndex: server.committedIndex,
      raftAppliedIndex: server.appliedIndex,
      raftTerm: server.term,
      isLearner: server.isLearner,
      storageVersion: storageVersion === null ? '' : `${storageVersion.major}.${storageVersion.minor}.0`,
      downgradeInfo: new DowngradeInfo({ enabled, targetVersion }),
      errors: [...errors, ...server.alarms.list(AlarmType.NONE).map(alarmText)],
    });
    answer(call, StatusResponseCodec, response);
  }

  alarm(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, AlarmRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    this.#server.propose(RequestField.ALARM, bytes, start, end, {
      request: null,
      onApplied: (result) => {
        const header = this.#context.header.header(this.#server.store.revision);
        const alarms = [...(result as AlarmResult).alarms];
        answer(call, AlarmResponseCodec, new AlarmResponse({ header, alarms }));
      },
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  /** Goes on while the member serves: pages move down into free places, and the file gets shorter. */
  defragment(call: ServerCall): void {
    if (!this.#context.admit(call)) return;
    const { logger, backend, clock, metrics } = this.#server;
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

  hash(call: ServerCall): void {
    if (!this.#context.admit(call)) return;
    this.#whenReadable(call, () => this.#hash(call));
  }

  #hash(call: ServerCall): void {
    const { backend, store, clock, metrics } = this.#server;
    const { revision } = store;
    const startMs = clock.now();
    backend.hashThen(isIgnoredInHash, (error, hash) => {
      if (error !== null) return call.fail(GrpcCode.Unknown, error.message);
      metrics.handles.hashDurationSeconds.observe((clock.now() - startMs) / 1000);
      const header = this.#context.header.header(revision);
      answer(call, HashResponseCodec, new HashResponse({ header, hash }));
    });
  }

  hashKv(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, HashKVRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    this.#whenReadable(call, () => this.#hashKv(call, request.revision));
  }

  #hashKv(call: ServerCall, revision: number): void {
    const { store, clock, metrics } = this.#server;
    const startMs = clock.now();
    store.hashes.hashByRevThen(revision, (error, found, currentRevision) => {
      if (error !== null) return void refuseInternal(call, error);
      metrics.handles.hashRevDurationSeconds.observe((clock.now() - startMs) / 1000);
      const { hash, compactRevision, revision: hashRevision } = found!;
      const header = this.#context.header.header(currentRevision);
      answer(call, HashKVResponseCodec, new HashKVResponse({ header, hash, compactRevision, hashRevision }));
    });
  }

  /** At once, unless the store is being replaced by the leader's: what is half loaded is not hashed. */
  #whenReadable(call: ServerCall, then: () => void): void {
    this.#server.readLocally({
      onReadable: then,
      onUnreadable: (error) => void refuseInternal(call, error),
    });
  }

  moveLeader(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MoveLeaderRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    this.#server.leadership.moveTo(request.targetId, (error) => {
      if (error !== null) return void refuseInternal(call, error);
      const header = this.#context.header.header(this.#server.store.revision);
      answer(call, MoveLeaderResponseCodec, new MoveLeaderResponse({ header }));
    });
  }

  /** Says whether the cluster can go down by one minor version, begins to, or gives it up. */
  downgrade(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, DowngradeRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const { action, version } = request;
    const server = this.#server;
    if (action === DowngradeAction.CANCEL) return this.#setDowngrade(call, NO_DOWNGRADE, '');
    if (action !== DowngradeAction.VALIDATE && action !== DowngradeAction.ENABLE) {
      return void refuseInternal(call, ErrUnknownMethod);
    }
    const target = parseDowngradeTarget(version);
    if (target === null) return void refuseInternal(call, ErrWrongDowngradeVersionFormat);
    // Whether one is under way is known for sure only by who has applied everything.
    server.read({
      onReadable: () => {
        const { version: clusterVersion, downgrade } = server.membership;
        const refusal = validateDowngrade(target, clusterVersion, downgrade);
        if (refusal !== null) return void refuseInternal(call, refusal);
        if (action === DowngradeAction.VALIDATE)
          return this.#answerDowngrade(call, formatClusterVersion(clusterVersion!));
        const info = { enabled: true, targetVersion: formatVersion(target) };
        this.#setDowngrade(call, info, formatClusterVersion(target));
      },
      onUnreadable: (error) => void refuseInternal(call, error),
    });
  }

  #setDowngrade(call: ServerCall, info: MembershipDowngradeInfo, version: string): void {
    this.#server.setDowngrade(info, {
      request: null,
      onApplied: () => this.#answerDowngrade(call, version),
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  #answerDowngrade(call: ServerCall, version: string): void {
    const header = this.#context.header.header(this.#server.store.revision);
    answer(call, DowngradeResponseCodec, new DowngradeResponse({ header, version }));
  }

  snapshot(call: ServerCall): void {
    if (!this.#context.admit(call, true)) return;
    const { backend } = this.#server;
    const storageVersion = readStorageVersion(backend);
    const version = storageVersion === null ? '' : `${storageVersion.major}.${storageVersion.minor}.0`;
    backend.snapshotThen((error, snapshot) => {
      if (error !== null) return call.fail(GrpcCode.Unknown, error.message);
      new SnapshotStream(call, snapshot!, version, this.#server).start();
    });
  }
}

/** An alarm as text, as Go prints the message. */
function alarmText({ memberId, alarm }: AlarmMember): string {
  const name = ['NONE', 'NOSPACE', 'CORRUPT'][alarm] ?? String(alarm);
  return `memberID:${memberId} alarm:${name}`;
}

/** Size of the pieces in which a database is sent. */
const BLOB_BYTES = 32 * 1024;

/** Sends a copy of the database, piece by piece as the client takes it, and at last the SHA-256 of all of it. */
class SnapshotStream implements CallReceiver {
  readonly #call: ServerCall;
  readonly #snapshot: BackendSnapshot;
  readonly #version: string;
  readonly #server: EtcdServer;
  readonly #hash = createHash('sha256');
  readonly #startMs: number;
  #remaining: number;
  #isReading = false;
  #isClosed = false;

  constructor(call: ServerCall, snapshot: BackendSnapshot, version: string, server: EtcdServer) {
    this.#call = call;
    this.#snapshot = snapshot;
    this.#version = version;
    this.#server = server;
    this.#remaining = snapshot.sizeBytes;
    this.#startMs = server.clock.now();
  }

  start(): void {
    this.#call.receiver = this;
    if (!this.#call.isAlive) return this.#close();
    this.#server.logger.info('sending database snapshot to client', {
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
      this.#hash.update(blob);
      this.#remaining -= blob.length;
      if (this.#send(this.#remaining, blob)) this.#next();
    });
  }

  #finish(): void {
    const digest = this.#hash.digest();
    this.#server.logger.info('sending database sha256 checksum to client', {
      'total-bytes': this.#snapshot.sizeBytes,
      'checksum-size': digest.length,
    });
    this.#send(0, digest);
    this.#call.end();
    const { backendSnapshotDurationSeconds } = this.#server.metrics.handles;
    const seconds = (this.#server.clock.now() - this.#startMs) / 1000;
    backendSnapshotDurationSeconds.observe(seconds);
    this.#server.logger.info('successfully sent database snapshot to client', {
      'total-bytes': this.#snapshot.sizeBytes,
      took: `${seconds.toFixed(3)}s`,
    });
    this.#close();
  }

  #send(remainingBytes: number, blob: Uint8Array): boolean {
    const response = new SnapshotResponse({ remainingBytes, blob, version: this.#version });
    const position = this.#call.reserveMessage(SnapshotResponseCodec.size(response));
    SnapshotResponseCodec.write(response, this.#call.output, position);
    return this.#call.hasRoom;
  }

  /** The pages of the copied state may be used again. */
  #close(): void {
    if (this.#isClosed || this.#isReading) return;
    this.#isClosed = true;
    this.#snapshot.close();
  }
}
