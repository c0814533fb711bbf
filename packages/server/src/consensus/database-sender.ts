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

export interface DatabaseSenderOptions
  extends Pick<MemberEnvironment, 'clock' | 'logger' | 'memberId' | 'network'> {
  readonly backend: () => Backend;
  /** Puts the position of the last applied entry among what is committed next, even if it has changed nothing else. */
  readonly writePosition: () => void;
  /** None could be made for that member. */
  readonly reportFailure: (id: MemberId) => void;
}

/** A copy of which nothing was read for so long is not on its way any more: all is sent, or the other end is gone, which may be told much later. */
const IDLE_MS = 30_000;

/** A copy on its way, and when something of it was read last. */
interface UnderWay {
  readMs: number;
}

export class DatabaseSender {
  readonly #options: DatabaseSenderOptions;
  readonly #underWay = new Map<MemberId, UnderWay>();

  constructor(options: DatabaseSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends the database to whom `message` is for; the network reports how it went. One at a time: where raft asks for another while the first is on
   * its way, as it does when it had begun to send entries and has none any more, they would only take the disk from each other. How the first one
   * went is told, and raft goes on from what the member has then.
   */
  send(message: Message): void {
    const { backend: current, clock, reportFailure, writePosition } = this.#options;
    const { to } = message;
    const first = this.#underWay.get(to);
    if (first !== undefined && clock.now() - first.readMs < IDLE_MS) return;
    const own: UnderWay = { readMs: clock.now() };
    this.#underWay.set(to, own);
    const over = (): void => {
      if (this.#underWay.get(to) === own) this.#underWay.delete(to);
    };
    const backend = current();
    writePosition();
    backend.snapshotThen((error, body) => {
      // The commit behind the copy is the newest: what it says about itself is what the copy says.
      if (error !== null) {
        over();
        return reportFailure(to);
      }
      assert(body !== null, 'database sender: neither a copy nor an error');
      this.#sendBody(message, transactionReader(backend.committed), {
        sizeBytes: body.sizeBytes,
        readThen: (target, done) => {
          own.readMs = clock.now();
          body.readThen(target, done);
        },
        close: () => {
          over();
          body.close();
        },
      });
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
