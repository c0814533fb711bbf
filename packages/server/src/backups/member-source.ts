/** This member as what a backup is made of: no connection, no user, no password. */
import { createHash } from 'node:crypto';
import { BackupError, type SnapshotSource, type SourceFacts, type SourceHash } from '@etcd/backup';
import type { BackendSnapshot } from '@etcd/storage/backend';
import { formatId } from '@etcd/storage/membership';
import type { KeyValueHash } from '@etcd/storage/mvcc';
import { ETCD_VERSION } from '../config/index.ts';
import type { BackedUpMember } from './backed-up-member.ts';

/** Small enough that hashing and sealing one holds up no request. */
const PIECE_BYTES = 64 * 1024;

export class MemberSource implements SnapshotSource {
  readonly #member: BackedUpMember;
  readonly #endpoint: string;
  /** Before the snapshot: a leader has requests to answer beside them. */
  #hashed: SourceHash | null = null;

  constructor(member: BackedUpMember, endpoint: string) {
    this.#member = member;
    this.#endpoint = endpoint;
  }

  async facts(): Promise<SourceFacts> {
    const { memberId, clusterId } = this.#member;
    const { hash, compactRevision, revision } = await this.#hash();
    this.#hashed = { hash, hashCompactRevision: compactRevision };
    return {
      endpoint: this.#endpoint,
      clusterId: formatId(clusterId),
      memberId: formatId(memberId),
      version: ETCD_VERSION,
      revision,
    };
  }

  async hash(): Promise<SourceHash> {
    if (this.#hashed === null) throw new Error('a member is asked for its hash before its facts');
    return this.#hashed;
  }

  /** Ends with an error when another member leads: that one makes backups now. */
  async *snapshot(): AsyncGenerator<Uint8Array, void, void> {
    const snapshot = await this.#open();
    try {
      const hash = createHash('sha256');
      const room = Buffer.allocUnsafeSlow(PIECE_BYTES);
      for (let remaining = snapshot.sizeBytes; remaining > 0; ) {
        if (!this.#member.isLeader) throw new BackupError('another member leads now');
        const piece = room.subarray(0, Math.min(PIECE_BYTES, remaining));
        const length = await read(snapshot, piece);
        if (length !== piece.length) throw new BackupError('the database is shorter than it should be');
        hash.update(piece);
        remaining -= length;
        yield piece;
      }
      yield hash.digest();
    } finally {
      snapshot.close();
    }
  }

  #hash(): Promise<KeyValueHash> {
    return new Promise((resolve, reject) => {
      this.#member.store.hashes.hashByRevThen(0, (error, found) => {
        if (error !== null) reject(new BackupError(error.message));
        else resolve(found!);
      });
    });
  }

  #open(): Promise<BackendSnapshot> {
    return new Promise((resolve, reject) => {
      this.#member.backend.snapshotThen((error, snapshot) => {
        if (error !== null) reject(new BackupError(error.message));
        else resolve(snapshot!);
      });
    });
  }
}

function read(snapshot: BackendSnapshot, target: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    snapshot.readThen(target, (error, bytesRead) => {
      if (error !== null) reject(new BackupError(error.message));
      else resolve(bytesRead);
    });
  });
}
