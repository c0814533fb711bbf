/** The database as a member that is too far behind gets it: what the message says of it must be what it says of itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Message, MessageType, Snapshot, SnapshotMetadata } from '@etcd/api/raftpb';
import { DiskError, SILENT_LOGGER } from '@etcd/base';
import { Backend, type BackendSnapshot } from '@etcd/storage/backend';
import { membershipWriter } from '@etcd/storage/data';
import { addMemberChange, EMPTY_MEMBERSHIP, Membership, newMember } from '@etcd/storage/membership';
import { createMemberBuckets, createMetaBucket, writeConsistentIndex } from '@etcd/storage/schema';
import { type DiskOperation, SimClock, SimDisk } from '@etcd/testing';
import { DatabaseSender, type DatabaseSenderOptions } from './database-sender.ts';

const SELF = 1n;
const BEHIND = 2n;

class World {
  readonly clock = new SimClock();
  readonly backend: Backend;
  readonly sender: DatabaseSender;
  readonly sent: { readonly message: Message; readonly body: BackendSnapshot }[] = [];
  readonly failed: bigint[] = [];
  readonly fatal: unknown[] = [];
  onOperation: (operation: DiskOperation) => void = () => {};
  applied = { index: 7, term: 2 };

  constructor() {
    const { clock } = this;
    const disk = new SimDisk({
      schedule: (_operation, complete) => clock.setTimer(1, complete),
      onOperation: (operation) => this.onOperation(operation),
    });
    this.backend = new Backend({ disk, clock, path: '/db', onFatal: (error) => this.fatal.push(error) });
    createMetaBucket(this.backend);
    createMemberBuckets(this.backend);
    const membership = new Membership({ clusterId: 9n, state: EMPTY_MEMBERSHIP });
    for (const [id, isLearner] of [
      [SELF, false],
      [BEHIND, true],
    ] as const) {
      const member = newMember(id, { peerUrls: [`http://m${id}:1`], isLearner });
      membership.applyConfChange(addMemberChange(member), membershipWriter(this.backend));
    }
    this.sender = new DatabaseSender({
      backend: () => this.backend,
      clock,
      memberId: SELF,
      logger: SILENT_LOGGER,
      network: {
        sendSnapshot: (message: Message, body: BackendSnapshot) => void this.sent.push({ message, body }),
      } as unknown as DatabaseSenderOptions['network'],
      writePosition: () => writeConsistentIndex(this.backend, this.applied),
      reportFailure: (id) => this.failed.push(id),
    });
  }

  send(raftIndex: number): void {
    const snapshot = new Snapshot({ metadata: new SnapshotMetadata({ index: raftIndex, term: 1 }) });
    this.sender.send(new Message({ type: MessageType.MsgSnap, to: BEHIND, from: SELF, term: 2, snapshot }));
  }
}

test('what is sent stands where the database stands, which may be further than raft asked for', () => {
  const world = new World();
  world.send(5);
  assert.equal(world.sent.length, 0, 'not before it is committed');
  // What is applied while the commit is under way is not in the copy.
  world.clock.advance(1);
  world.applied = { index: 8, term: 2 };
  writeConsistentIndex(world.backend, world.applied);
  world.clock.advance(1000);
  const { message, body } = world.sent[0]!;
  const { index, term, confState } = message.snapshot!.metadata;
  assert.deepEqual([message.type, message.to, message.term], [MessageType.MsgSnap, BEHIND, 2]);
  assert.deepEqual([index, term, confState?.voters, confState?.learners], [7, 2, [SELF], [BEHIND]]);
  assert.ok(message.snapshot!.data.length > 0, 'with the members as etcd up to 3.5 reads them');
  assert.equal(body.sizeBytes, world.backend.sizeBytes);
  body.close();
});

test('a copy that can not be made is reported to raft, which tries again', () => {
  const world = new World();
  world.clock.advance(1000);
  world.onOperation = ({ kind, path }) => {
    if (kind === 'write') throw new DiskError('EIO', path, 'write error');
  };
  world.send(5);
  world.clock.advance(1000);
  assert.deepEqual([world.failed, world.sent, world.fatal.length], [[BEHIND], [], 1]);
});

test('a database that is behind what raft has cut its log at is a broken invariant: the receiver could not go on', () => {
  const world = new World();
  world.send(20);
  assert.throws(() => world.clock.advance(1000), /the database is behind raft/);
});

test('while one is on its way to a member it gets no other, and then it may', () => {
  const world = new World();
  world.send(5);
  world.send(6);
  world.clock.advance(1000);
  world.send(7);
  world.clock.advance(1000);
  assert.equal(world.sent.length, 1, 'neither while the copy is made nor while it is sent');
  world.sent[0]!.body.close();
  world.send(7);
  world.clock.advance(1000);
  assert.deepEqual([world.sent.length, world.failed], [2, []]);
  world.sent[1]!.body.close();
});

test('a copy of which nothing is read any more keeps nobody from the next', () => {
  const world = new World();
  world.send(5);
  world.clock.advance(29_000);
  const { body } = world.sent[0]!;
  body.readThen(new Uint8Array(4096), () => {});
  world.clock.advance(29_000);
  world.send(6);
  world.clock.advance(999);
  assert.equal(world.sent.length, 1);
  world.clock.advance(1);
  world.send(6);
  world.clock.advance(1000);
  assert.equal(world.sent.length, 2);
  body.close();
  world.send(7);
  world.clock.advance(1000);
  assert.equal(world.sent.length, 2, 'the second one is still on its way');
  world.sent[1]!.body.close();
});
