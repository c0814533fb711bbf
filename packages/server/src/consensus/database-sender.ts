/**
 * Snapshots for members that are too far behind for the log. Raft only says that one is needed; what is sent is the database as
 * it is now, with the position that it has reached, while everything else goes on.
 */

import type { MemberId } from '@etcd/api';
import { Message, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';
import {
  type Backend,
  type BackendReader,
  type BackendSnapshot,
  transactionReader,
} from '@etcd/storage/backend';
import { confStateOf, membershipReader } from '@etcd/storage/data';
import { encodeV2Store, formatId, readMembership } from '@etcd/storage/membership';
import { readConsistentIndex } from '@etcd/storage/schema';
import type { MemberEnvironment } from './member-environment.ts';

export interface DatabaseSenderOptions extends Pick<MemberEnvironment, 'logger' | 'memberId' | 'network'> {
  readonly backend: () => Backend;
  /** Puts the position of the last applied entry among what is committed next, even if it has changed nothing else. */
  readonly writePosition: () => void;
  /** None could be made for that member. */
  readonly reportFailure: (id: MemberId) => void;
}

export class DatabaseSender {
  readonly #options: DatabaseSenderOptions;

  constructor(options: DatabaseSenderOptions) {
    this.#options = options;
  }

  /** Sends the database to whom `message` is for; the network reports how it went. */
  send(message: Message): void {
    const { backend: current, reportFailure, writePosition } = this.#options;
    const backend = current();
    writePosition();
    backend.snapshotThen((error, body) => {
      // The commit behind the copy is the newest: what it says about itself is what the copy says.
      if (error !== null) return reportFailure(message.to);
      assert(body !== null, 'database sender: neither a copy nor an error');
      this.#sendBody(message, transactionReader(backend.committed), body);
    });
  }

  #sendBody(message: Message, reader: BackendReader, body: BackendSnapshot): void {
    const { network, logger, memberId } = this.#options;
    const state = readMembership(membershipReader(reader));
    const { index, term } = readConsistentIndex(reader);
    assert(index > 0 && term > 0, 'database sender: a database that does not say where it stands');
    assert(index >= (message.snapshot?.metadata.index ?? 0), 'database sender: the database is behind raft');
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
