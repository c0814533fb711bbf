/**
 * A {@link StateMachine} for tests, on simulated time and on a disk of its own or on one that another has left. Its log is what a test applies; what
 * would end a member is kept.
 */
import assert from 'node:assert/strict';
import { RangeRequest } from '@etcd/api/etcdserverpb';
import { ConfState, Entry, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { NO_IDENTITY } from '@etcd/storage/auth';
import { backendPath, snapDirectory } from '@etcd/storage/data';
import { newCluster } from '@etcd/storage/membership';
import { executeRange } from '@etcd/storage/mvcc';
import { ConsistentIndex, createMemberBuckets, createMetaBucket } from '@etcd/storage/schema';
import { Snapshotter } from '@etcd/storage/snap';
import { SimClock, SimDisk } from '@etcd/testing';
import { testAuthentication } from '../../auth/testing/test-authentication.ts';
import type { Config } from '../../config/index.ts';
import { config as configOf } from '../../config/testing/starts.ts';
import { createHandles } from '../../metrics/metric-table.ts';
import {
  type Kind,
  PendingRequests,
  RequestEncoder,
  RequestIds,
  type RequestOf,
} from '../../request/index.ts';
import { openMemberBackend } from '../member-backend.ts';
import { StateMachine } from '../state-machine.ts';

const TERM = 3;
const CONFIG = await configOf(['--name=m1', '--data-dir=/data', '--unsafe-no-fsync=true']);

/** A state machine on a disk of its own, whose log is what a test applies. */
export class Machine {
  readonly clock = new SimClock();
  readonly disk: SimDisk;
  readonly config: Config;
  readonly metrics = createHandles();
  readonly fatal: string[] = [];
  readonly machine: StateMachine;
  readonly membership = newCluster('token', new Map([['m1', ['http://m1:2380']]]));
  readonly #encoder: RequestEncoder;
  readonly #ids = new RequestIds(9n, 1);

  constructor(changes: Partial<Config> = {}, disk: SimDisk | null = null) {
    const { clock, metrics } = this;
    this.config = { ...CONFIG, ...changes };
    const { config } = this;
    this.disk = disk ?? new SimDisk({ schedule: (_operation, complete) => clock.setTimer(1, complete) });
    this.disk.makeDirectory(snapDirectory(config), 0o700);
    const options = { config, clock, disk: this.disk, logger: SILENT_LOGGER, metrics };
    const onFatal = (error: Error): void => void this.fatal.push(error.message);
    const backend = openMemberBackend({ ...options, onBackendFatal: onFatal });
    createMetaBucket(backend);
    createMemberBuckets(backend);
    this.#encoder = new RequestEncoder(this.#ids);
    this.machine = new StateMachine({
      ...options,
      parts: {
        backend,
        consistentIndex: new ConsistentIndex(backend),
        membership: this.membership,
        snapshotter: new Snapshotter({ disk: this.disk, directory: snapDirectory(config), clock }),
        snapshotIndex: 0,
        snapshotTerm: 0,
      },
      pending: new PendingRequests(),
      ids: new RequestIds(1n, 1),
      host: {
        applyConfChange: () => new ConfState(),
        onMemberChange: () => {},
        onFirstCommitInTerm: () => {},
        onClusterVersion: () => {},
        onV2Request: () => {},
        onNoSpace: (then) => then(),
        onApplied: () => {},
      },
      authentication: testAuthentication(clock),
      onRevision: () => {},
      onFatal,
      // Loading takes some turns, however little there is.
      slices: { rangeKeys: 2, watchRevisions: 2, hashRevisions: 2, restoreRevisions: 2 },
    });
  }

  static loaded(changes: Partial<Config> = {}, disk: SimDisk | null = null): Machine {
    const machine = new Machine(changes, disk);
    let error: Error | null | undefined;
    machine.machine.restoreThen((problem) => {
      error = problem;
    });
    machine.clock.advanceUntil(() => error !== undefined, 10_000);
    assert.equal(error, null);
    return machine;
  }

  apply<K extends Kind>(kind: K, request: RequestOf<K>): void {
    const data = this.#encoder.encode(kind, request, NO_IDENTITY, this.#ids.next());
    this.machine.apply([new Entry({ term: TERM, index: this.machine.appliedIndex + 1, data })]);
  }

  /** Keys of this name: none or one. */
  count(key: string): number {
    return executeRange(this.machine.store, new RangeRequest({ key: Buffer.from(key) })).count;
  }

  /** Ends it; its file has all that was applied. */
  close(): void {
    let isClosed = false;
    this.machine.stop();
    this.machine.closeThen(() => {
      isClosed = true;
    });
    this.clock.advanceUntil(() => isClosed, 10_000);
  }

  /** Has received the database of `leader` for a snapshot of it at `index`. */
  receive(leader: Machine, index: number): Snapshot {
    leader.close();
    const database = leader.disk.readFile(backendPath(leader.config));
    this.#writeReceived(index, database);
    const voters = leader.membership.members().map(({ id }) => id);
    return new Snapshot({
      metadata: new SnapshotMetadata({ index, term: TERM, confState: new ConfState({ voters }) }),
    });
  }

  /** Nothing of what was received is a database. */
  damageReceived(index: number): void {
    this.#writeReceived(index, new Uint8Array(64 * 1024).fill(0xff));
  }

  #writeReceived(index: number, bytes: Uint8Array): void {
    const path = `${snapDirectory(this.config)}/${index.toString(16).padStart(16, '0')}.snap.db`;
    const file = this.disk.openFile(path, { access: 'readwrite', create: true });
    file.write(bytes, 0, bytes.length, 0);
    file.close();
  }
}
