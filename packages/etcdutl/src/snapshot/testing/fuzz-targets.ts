/** Snapshot files, fed with damage: what they hold, whether they are whole, and what a restore makes of them. */
import { createHash } from 'node:crypto';
import { PutRequest } from '@etcd/api/etcdserverpb';
import { InvariantError, SILENT_LOGGER } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { Backend } from '@etcd/storage/backend';
import { Lessor } from '@etcd/storage/lease';
import { newCluster } from '@etcd/storage/membership';
import { put, Store } from '@etcd/storage/mvcc';
import { type FuzzTarget, InputReader, SimClock, SimDisk } from '@etcd/testing';
import { restoreSnapshot } from '../restore.ts';
import { readStatus } from '../status.ts';
import { verifyDatabase } from '../verify.ts';

const PATH = '/snapshot.db';
const KEYS = 30;
const LONG_MS = 60_000;

let original: Uint8Array | null = null;

function whole(): Uint8Array {
  const clock = new SimClock();
  const disk = new SimDisk({ schedule: (_operation, complete) => clock.defer(complete) });
  const onFatal = (error: Error): never => {
    throw error;
  };
  const backend = new Backend({ disk, clock, path: PATH, onFatal });
  const lessor = new Lessor({ backend, clock, minTtl: 1 });
  const store = new Store({ backend, clock, leases: lessor });
  store.restoreThen(() => {});
  clock.advanceUntil(() => store.isReady, LONG_MS);
  for (let i = 0; i < KEYS; i++) {
    put(store, new PutRequest({ key: Buffer.from(`key${i % 20}`), value: Buffer.alloc(100, i) }));
  }
  store.close();
  backend.closeThen(() => {});
  clock.advance(LONG_MS);
  const database = Database.open({ disk, path: PATH, readOnly: true });
  const read = database.beginRead();
  const { sizeBytes } = read;
  read.close();
  database.close();
  return disk.readFile(PATH).slice(0, sizeBytes);
}

/** Each change has six bytes: where (three), how, and with what; the content ends where one says so. */
function damaged(reader: InputReader): Uint8Array {
  original ??= whole();
  let file = original.slice();
  while (!reader.isAtEnd && file.length > 0) {
    const at = reader.number(3) % file.length;
    const [how, value] = [reader.byte(), reader.number(2)];
    if (how % 4 === 0) file[at] = value & 0xff;
    else if (how % 4 === 1) file.fill(value & 0xff, at, at + (value >> 8));
    else if (how % 4 === 2)
      file.copyWithin(at, (value * 64) % file.length, ((value * 64) % file.length) + 64);
    else if (how > 240) file = file.slice(0, at);
    else if (at + 1 < file.length) new DataView(file.buffer, file.byteOffset).setUint16(at, value, true);
  }
  return file;
}

/** Tools say what is wrong in errors of many kinds; only what no reader of files has thought of is wrong. */
function attempt<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    const isBug =
      error instanceof TypeError || error instanceof RangeError || error instanceof InvariantError;
    if (isBug || !(error instanceof Error) || error.message === '') throw error;
    return null;
  }
}

function drain<T>(steps: Generator<unknown, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

function look(disk: SimDisk): void {
  const options = { disk, path: PATH, readOnly: true, freelist: 'rebuilt', logger: SILENT_LOGGER } as const;
  const database = attempt(() => Database.open(options));
  if (database === null) return;
  attempt(() => drain(readStatus(database)));
  attempt(() => drain(verifyDatabase(database, { hashRevision: 0, hash: 'taken' })));
  database.close();
}

/** The first byte says whether there is a digest, and what a restore is told. */
const snapshotFile: FuzzTarget = {
  name: 'snapshot-file',
  what: 'damage to a snapshot under a right digest, or none: its status, its verification, its restore',
  maxBytes: 96,
  isSlow: true,
  heldBytes: 32 * 1024 * 1024,
  seeds: () => [
    Uint8Array.of(0),
    Uint8Array.of(1),
    Uint8Array.of(2, 0x10, 0, 0, 0, 7, 0),
    Uint8Array.of(0, 0, 0x10, 0, 1, 3, 9),
    Uint8Array.of(4, 0, 0x20, 0, 241, 0, 0),
  ],
  run: (input) => {
    const reader = new InputReader(input);
    const how = reader.byte();
    const content = damaged(reader);
    const disk = new SimDisk();
    const digest = how % 2 === 0 ? createHash('sha256').update(content).digest() : Buffer.alloc(0);
    const file = disk.openFile(PATH, { access: 'readwrite', create: true });
    file.write(Buffer.concat([content, digest]), 0, content.length + digest.length, 0);
    file.close();
    look(disk);
    const cluster = newCluster('token', new Map([['m0', ['http://localhost:2380']]]));
    const tool = { disk, clock: new SimClock(), logger: SILENT_LOGGER };
    const wishes = { walDir: '', skipHashCheck: how % 4 > 1, bumpRevision: how % 8 > 3 ? 1000 : 0 };
    const options = { ...wishes, snapshotPath: PATH, dataDir: '/m0.etcd', name: 'm0', cluster };
    const isRestored = attempt(() => {
      drain(restoreSnapshot(tool, options));
      return true;
    });
    if (isRestored === null && disk.stat('/m0.etcd') !== null) throw new Error('a data directory is left');
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [snapshotFile];
