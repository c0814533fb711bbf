/**
 * Snapshots for members that are too far behind for the log. Raft only says that one is needed; what is sent is the database as
 * it is now, with the position that it has reached, while everything else goes on.
 */
import { Message, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import type { Logger } from '@etcd/base';
import type { ReadTransaction } from '@etcd/bbolt';
import type { Backend, BackendReader, BackendSnapshot } from '@etcd/storage/backend';
import { encodeV2Store, formatId, readMembership } from '@etcd/storage/membership';
import { readConsistentIndex } from '@etcd/storage/schema';
import { membershipReader } from '../apply/membership-writer.ts';
import type { PeerNetwork } from '../peer/peer-network.ts';
import { confStateOf } from './conf-state.ts';

export interface SnapshotSenderOptions {
  readonly network: PeerNetwork;
  readonly logger: Logger;
  readonly memberId: bigint;
  readonly backend: () => Backend;
  /** Puts the position of the last applied entry among what is committed next, even if it has changed nothing else. */
  readonly writePosition: () => void;
  readonly reportSnapshot: (id: bigint, isDelivered: boolean) => void;
}

/** As in etcd: so many databases may be on their way at a time. */
const MAX_IN_FLIGHT = 16;

export class SnapshotSender {
  readonly #options: SnapshotSenderOptions;
  #inFlightCount = 0;

  constructor(options: SnapshotSenderOptions) {
    this.#options = options;
  }

  /** Sends the database to whom `message` is for; raft hears how it went. */
  send(message: Message): void {
    const { backend: current, reportSnapshot, writePosition } = this.#options;
    if (this.#inFlightCount >= MAX_IN_FLIGHT) return reportSnapshot(message.to, false);
    this.#inFlightCount++;
    const backend = current();
    writePosition();
    backend.snapshotThen((error, body) => {
      // The commit behind the copy is the newest: what it says about itself is what the copy says.
      if (error !== null) return this.reportDone(message.to, false);
      this.#sendBody(message, committedReader(backend.committed), body!);
    });
  }

  /** To be told how each went. */
  reportDone(id: bigint, isDelivered: boolean): void {
    this.#inFlightCount = Math.max(0, this.#inFlightCount - 1);
    this.#options.reportSnapshot(id, isDelivered);
  }

  #sendBody(message: Message, reader: BackendReader, body: BackendSnapshot): void {
    const { network, logger, memberId } = this.#options;
    const state = readMembership(membershipReader(reader));
    const { index, term } = readConsistentIndex(reader);
    const metadata = new SnapshotMetadata({ index, term, confState: confStateOf(state) });
    const snapshot = new Snapshot({ data: encodeV2Store(state), metadata });
    logger.info('sending merged snapshot', {
      from: formatId(memberId),
      to: formatId(message.to),
      bytes: body.sizeBytes,
      'snapshot-index': index,
    });
    network.sendSnapshot(new Message({ ...message, snapshot }), body);
  }
}

function committedReader(transaction: ReadTransaction): BackendReader {
  return {
    get: (bucket, key) => transaction.bucket(bucket.nameBytes)?.get(key) ?? null,
    forEach: (bucket, visit) => {
      const cursor = transaction.bucket(bucket.nameBytes)?.cursor();
      if (cursor === undefined) return;
      for (let found = cursor.first(); found; found = cursor.next()) visit(cursor.key(), cursor.value());
    },
  };
}
