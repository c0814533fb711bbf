/**
 * Whoever keeps copies of the database, and makes a new cluster of the last one when all members are lost. Copies come from whichever member answers, as a stream with a
 * digest behind it, or are files of a member's disk; the program's own tool for operators makes data directories of them.
 */
import { decodeSnapshotResponse } from '@etcd/api/etcdserverpb';
import { copyBytes, GrpcCode, type SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { Database } from '@etcd/bbolt';
import { restoreSnapshot } from '@etcd/etcdutl/snapshot';
import { KEY_BUCKET, mainOf, transactionReader } from '@etcd/storage/backend';
import { newCluster } from '@etcd/storage/membership';
import { readConsistentIndex } from '@etcd/storage/schema';
import { SimDisk } from '@etcd/testing';
import type { Machine } from './machine.ts';
import { Pacer } from './pacer.ts';
import { Session } from './session.ts';
import type { World } from './world.ts';

export interface Copy {
  readonly bytes: Uint8Array;
  /** A file of a data directory has none. */
  readonly hasDigest: boolean;
}

export interface Restored {
  /** Of the log of the cluster that was: what the copy has. */
  readonly index: number;
  /** What the revision was bumped to; null: it was not. */
  readonly jumpedTo: number | null;
}

const TIMEOUT_MS = 8000;
const MEAN_PAUSE_MS = 4000;
const COPY_PATH = '/copy.db';
const DATABASE_PATH = '/data/member/snap/db';
/** Further than any that clients know of. */
const BUMPS = [1000, 5000] as const;
const NOTHING = new Uint8Array(0);

export class RestoreDrill {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  #newest: Uint8Array | null = null;
  #isCopying = false;
  #count = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.pause(pauseMs, then),
      random,
      maxPauseMs: 2 * MEAN_PAUSE_MS,
      step: () => this.#copy(),
    });
  }

  get isIdle(): boolean {
    return !this.#isCopying;
  }

  start(): void {
    this.#pacer.start();
  }

  stop(): void {
    this.#pacer.stop();
  }

  #copy(): void {
    const chunks: Uint8Array[] = [];
    this.#isCopying = true;
    const onEnd = (code: number): void => {
      this.#isCopying = false;
      if (code === GrpcCode.OK) this.#newest = Buffer.concat(chunks);
      const who = this.#session.machine?.name;
      this.#world.note(`a copy of ${who}'s database: ${code}, ${this.#newest?.length ?? 0} bytes`);
      // Another member next time.
      this.#session.leave();
      this.#pacer.next();
    };
    const receiver = {
      onMessage: (_call: unknown, message: Uint8Array, start: number, end: number): void => {
        chunks.push(copyBytes(decodeSnapshotResponse(message.subarray(start, end)).blob));
      },
      onEnd: (_call: unknown, code: number): void => onEnd(code),
    };
    const call = this.#session.stream('/etcdserverpb.Maintenance/Snapshot', receiver, {
      timeoutMs: TIMEOUT_MS,
    });
    if (call === null) return onEnd(GrpcCode.Unavailable);
    call.write(NOTHING);
    call.halfClose();
  }

  /** The last copy, or a file of a member; null when there is neither. To be asked before the members are lost. */
  take(): Copy | null {
    const disk = this.#random.pick(this.#world.activeMachines).disk.killImage();
    const hasFile = disk.stat(DATABASE_PATH) !== null;
    if (hasFile && this.#random.chance(0.3)) return { bytes: disk.readFile(DATABASE_PATH), hasDigest: false };
    return this.#newest === null ? null : { bytes: this.#newest, hasDigest: true };
  }

  /** Makes the data directories of `founders` of a copy. */
  restore({ bytes, hasDigest }: Copy, founders: readonly Machine[]): Restored {
    this.#newest = null;
    this.#count++;
    const { index, latestRevision } = factsOf(bytes);
    const ahead = Math.max(0, this.#world.seenRevision - latestRevision);
    const bumpRevision = this.#random.chance(0.6) ? ahead + this.#random.pick(BUMPS) : 0;
    const token = `restored-${this.#count}`;
    const cluster = newCluster(token, new Map(founders.map(({ name, peerUrls }) => [name, [peerUrls[0]!]])));
    if (hasDigest) this.#mustRefuseDamage(bytes, cluster, founders[0]!);
    for (const machine of founders) {
      const tool = { disk: machine.disk, clock: this.#world.clock, logger: SILENT_LOGGER };
      putFile(machine.disk, bytes);
      const how = { dataDir: '/data', walDir: '', skipHashCheck: !hasDigest, bumpRevision };
      for (const _ of restoreSnapshot(tool, {
        ...how,
        snapshotPath: COPY_PATH,
        name: machine.name,
        cluster,
      }));
    }
    return { index, jumpedTo: bumpRevision > 0 ? latestRevision + bumpRevision : null };
  }

  /** A copy of which one bit is another must not become a cluster, and leaves nothing behind. */
  #mustRefuseDamage(bytes: Uint8Array, cluster: ReturnType<typeof newCluster>, { name }: Machine): void {
    const disk = new SimDisk();
    const damaged = Uint8Array.from(bytes);
    damaged[this.#random.below(damaged.length)]! ^= 1 << this.#random.below(8);
    putFile(disk, damaged);
    const tool = { disk, clock: this.#world.clock, logger: SILENT_LOGGER };
    const how = { dataDir: '/data', walDir: '', skipHashCheck: false, bumpRevision: 0 };
    try {
      for (const _ of restoreSnapshot(tool, { ...how, snapshotPath: COPY_PATH, name, cluster }));
      this.#world.violate('restore', 'a damaged copy was restored');
    } catch {
      const left = disk.readDirectory('/').filter((entry) => `/${entry}` !== COPY_PATH);
      if (left.length > 0) this.#world.violate('restore', `a refused copy left ${left.join(' ')} behind`);
    }
  }
}

function putFile(disk: SimDisk, bytes: Uint8Array): void {
  const file = disk.openFile(COPY_PATH, { access: 'readwrite', create: true, truncate: true });
  file.write(bytes, 0, bytes.length, 0);
  file.sync();
  file.close();
}

/** Which entry a copy is as of, and the last revision of which it has anything. */
function factsOf(bytes: Uint8Array): { readonly index: number; readonly latestRevision: number } {
  const disk = new SimDisk();
  putFile(disk, bytes);
  const database = Database.open({ disk, path: COPY_PATH, readOnly: true });
  const read = database.beginRead();
  let latestRevision = 0;
  const reader = transactionReader(read);
  reader.forEach(KEY_BUCKET, (key) => {
    latestRevision = mainOf(key, 0);
  });
  const { index } = readConsistentIndex(reader);
  read.close();
  database.close();
  return { index, latestRevision };
}
