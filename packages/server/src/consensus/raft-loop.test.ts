/** The raft loop with production raft and log, on a simulated clock and disk; the member around it only takes notes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfState,
  Entry,
  EntryType,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { Snapshot as WalSnapshot } from '@etcd/api/walpb';
import { DiskError, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { MemoryStorage, RawNode } from '@etcd/raft';
import { createWal, readWal, type Wal } from '@etcd/storage/wal';
import { SimClock, SimDisk } from '@etcd/testing';
import { RaftLoop, type RaftLoopHost } from './raft-loop.ts';

const SELF = 1n;
const LEADER = 2n;
const HEARTBEAT_MS = 100;
const REQUEST_TIMEOUT_MS = 5000;

/** Time may pass inside of a turn, when a call into the system takes long. */
class StallingClock extends SimClock {
  stalledMs = 0;

  override now(): number {
    return super.now() + this.stalledMs;
  }
}

class Member implements RaftLoopHost {
  /** The disk holds the whole process up for so long, once, at the next sync. */
  stallMs = 0;
  /** What does not hold the process up takes so long on the disk. */
  diskMs = 1;
  /** For how long entries have waited for the disk, and up to which. */
  readonly saved: [waitedMs: number, index: number][] = [];
  readonly clock: SimClock & { stalledMs: number } = new StallingClock();
  readonly disk: SimDisk;
  readonly storage = new MemoryStorage();
  readonly node: RawNode;
  readonly wal: Wal;
  readonly loop: RaftLoop;
  isHeldBack = false;
  /** The data of what was applied, one list for each time. */
  readonly applied: string[][] = [];
  readonly dropped: number[] = [];
  readonly sent: Message[] = [];
  readonly fatal: DiskError[] = [];
  turns = 0;
  /** Ends the installation of the snapshot that has come. */
  installed: (() => void) | null = null;
  /** The next write fails. */
  breaks = false;

  constructor(voters: readonly bigint[] = [SELF]) {
    const { clock, storage } = this;
    this.disk = new SimDisk({
      schedule: (_operation, complete) => clock.setTimer(this.diskMs, complete),
      onOperation: ({ kind, path }) => {
        if (kind === 'sync') {
          clock.stalledMs += this.stallMs;
          this.stallMs = 0;
        }
        if (this.breaks && kind === 'write') throw new DiskError('EIO', path, 'write error');
      },
    });
    const metadata = new SnapshotMetadata({ confState: new ConfState({ voters: [...voters] }) });
    storage.applySnapshot(new Snapshot({ metadata }));
    this.node = new RawNode({
      id: SELF,
      storage,
      random: new SeededRandom(1),
      electionTicks: 10,
      heartbeatTicks: 1,
      maxInflightMsgs: 16,
    });
    this.wal = createWal(
      { disk: this.disk, clock, directory: '/wal', segmentSizeBytes: 65_536 },
      Buffer.from('m'),
    );
    this.loop = new RaftLoop({
      node: this.node,
      storage,
      wal: this.wal,
      clock,
      logger: SILENT_LOGGER,
      host: this,
      heartbeatIntervalMs: HEARTBEAT_MS,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
    });
  }

  /** Leads, alone. */
  lead(): this {
    this.loop.start();
    this.node.campaign();
    this.loop.wake();
    this.clock.settle();
    this.applied.length = 0;
    return this;
  }

  propose(...texts: string[]): void {
    for (const text of texts) this.loop.propose(Buffer.from(text), text.charCodeAt(0));
  }

  stop(): boolean {
    let isStopped = false;
    this.loop.stopThen(() => {
      isStopped = true;
    });
    this.clock.settle();
    return isStopped;
  }

  /** What the next start would find. */
  logged(): string[] {
    const entries: Entry[] = [];
    const sink = { append: (entry: Entry) => void entries.push(entry), reset: () => {} };
    readWal({ disk: this.disk, directory: '/wal' }, { index: 0, term: 0 }, sink);
    return entries.map(({ data }) => Buffer.from(data).toString());
  }

  onTurnStart(): void {}
  onTick(): void {}
  onSoftState(): void {}
  onReadState(): void {}
  onProposalDropped(idSuffix: number): void {
    this.dropped.push(idSuffix);
  }
  apply(entries: readonly Entry[]): void {
    for (const { index } of entries)
      assert.ok(index <= this.wal.lastIndex, 'nothing is applied before it is logged');
    this.applied.push(entries.map(({ data }) => Buffer.from(data).toString()));
  }
  saveSnapshotFile(_snapshot: Snapshot, done: (error: DiskError | null) => void): void {
    this.clock.setTimer(1, () => done(null));
  }
  installSnapshot(_snapshot: Snapshot, done: () => void): void {
    this.installed = done;
  }
  send(messages: readonly Message[]): void {
    this.sent.push(...messages);
  }
  onSaved(waitedMs: number, index: number): void {
    this.saved.push([waitedMs, index]);
  }
  onTurnEnd(): void {
    this.turns++;
  }
  onFatal(error: DiskError): void {
    this.fatal.push(error);
  }
}

test('what is proposed in one turn is one batch: logged, then applied together and in order', () => {
  const member = new Member().lead();
  member.propose('a', 'b', 'c');
  assert.deepEqual(member.applied, [], 'nothing happens within the call');
  assert.equal(member.loop.queuedCount, 3);
  member.clock.settle();
  assert.deepEqual(member.applied, [['a', 'b', 'c']]);
  assert.deepEqual(member.logged().slice(-3), ['a', 'b', 'c']);
});

test('a member that is held back takes nothing on until it is not', () => {
  const member = new Member().lead();
  member.isHeldBack = true;
  member.propose('a');
  member.clock.settle();
  assert.deepEqual(member.applied, []);
  member.isHeldBack = false;
  member.loop.wake();
  member.clock.settle();
  assert.deepEqual(member.applied, [['a']]);
});

test('a task has the log for itself until it gives it back', () => {
  const member = new Member().lead();
  let giveBack: () => void = () => {};
  member.loop.withLog((_wal, done) => {
    giveBack = done;
  });
  member.propose('a');
  member.clock.settle();
  assert.deepEqual(member.applied, [], 'a batch waits for the task');
  giveBack();
  member.clock.settle();
  assert.deepEqual(member.applied, [['a']]);
});

test('a task that gives the log back twice ends the process: two would have it', () => {
  const member = new Member().lead();
  let giveBack: () => void = () => {};
  member.loop.withLog((_wal, done) => {
    giveBack = done;
  });
  member.clock.settle();
  giveBack();
  assert.throws(() => giveBack(), /given the log back twice/);
});

test('stopping waits for whoever has the log, and nothing is taken on afterwards', () => {
  const member = new Member().lead();
  let giveBack: () => void = () => {};
  member.loop.withLog((_wal, done) => {
    giveBack = done;
  });
  member.clock.settle();
  let isStopped = false;
  member.loop.stopThen(() => {
    isStopped = true;
  });
  member.propose('late');
  member.clock.settle();
  assert.equal(isStopped, false);
  giveBack();
  assert.equal(isStopped, true);
  member.clock.advance(10 * HEARTBEAT_MS);
  assert.deepEqual(member.applied, []);
});

test('a log that can not be written ends the member: nothing of the batch is applied or sent', () => {
  const member = new Member().lead();
  member.sent.length = 0;
  member.breaks = true;
  member.propose('a');
  member.clock.settle();
  assert.equal(member.fatal.length, 1);
  assert.equal(member.fatal[0]!.code, 'EIO');
  assert.deepEqual([member.applied, member.sent], [[], []]);
});

test('without a leader proposals wait, and those that nobody awaits any more are forgotten', () => {
  const member = new Member([SELF, LEADER]);
  member.loop.start();
  member.propose('a', 'b', 'c');
  member.clock.settle();
  assert.equal(member.loop.queuedCount, 3);
  member.loop.forget((id) => id === 'b'.charCodeAt(0));
  assert.equal(member.loop.queuedCount, 1);
  assert.deepEqual(member.dropped, [], 'their proposers were told when they timed out');
});

test('what only a leader may decide is dropped by a member that does not lead', () => {
  const member = new Member([SELF, LEADER]);
  member.loop.start();
  member.loop.proposeAsLeader(Buffer.from('a'), 7);
  member.clock.settle();
  assert.deepEqual(member.dropped, [7]);
});

test('a snapshot is recorded once: one that is not newer than what the log has is not', () => {
  const member = new Member().lead();
  member.propose('a', 'b');
  member.clock.settle();
  const outcomes: boolean[] = [];
  const record = (index: number): void => {
    const confState = new ConfState({ voters: [SELF] });
    member.loop.saveSnapshotRecord(new WalSnapshot({ index, term: 1, confState }), (error, isRecorded) => {
      assert.equal(error, null);
      outcomes.push(isRecorded);
    });
    member.clock.advance(10);
  };
  record(2);
  record(2);
  record(1);
  record(3);
  assert.deepEqual(outcomes, [true, false, false, true]);
  assert.equal(member.wal.snapshotIndex, 3);
});

/** A follower to which the leader has sent a snapshot at index 10. */
function withSnapshot(): Member {
  const member = new Member([SELF, LEADER]);
  member.loop.start();
  const confState = new ConfState({ voters: [SELF, LEADER] });
  const snapshot = new Snapshot({ metadata: new SnapshotMetadata({ index: 10, term: 3, confState }) });
  member.loop.step(new Message({ type: MessageType.MsgSnap, from: LEADER, to: SELF, term: 3, snapshot }));
  member.clock.advance(20);
  return member;
}

function append(member: Member, index: number, entry: Partial<Entry> = {}): void {
  const entries = [new Entry({ index, term: 3, data: Buffer.from(`e${index}`), ...entry })];
  const base = { type: MessageType.MsgApp, from: LEADER, to: SELF, term: 3, logTerm: 3 };
  member.loop.step(new Message({ ...base, index: index - 1, commit: index, entries }));
  member.clock.advance(20);
}

test('what is committed while a snapshot is being installed is logged, and applied behind it', () => {
  const member = withSnapshot();
  assert.notEqual(member.installed, null, 'the snapshot is durable, and being installed');
  append(member, 11);
  append(member, 12);
  assert.equal(member.wal.lastIndex, 12);
  assert.deepEqual(member.applied, []);
  member.installed!();
  assert.deepEqual(member.applied, [['e11', 'e12']]);
  append(member, 13);
  assert.deepEqual(member.applied.slice(1), [['e13']]);
});

test('a change of the configuration waits until the snapshot before it is installed', () => {
  const member = withSnapshot();
  append(member, 11, { type: EntryType.EntryConfChange, data: new Uint8Array(0) });
  assert.equal(member.wal.lastIndex, 10, 'its batch is not even logged');
  member.installed!();
  member.clock.advance(20);
  assert.deepEqual([member.wal.lastIndex, member.applied], [11, [['']]]);
});

test('a member can stop while a snapshot is being installed and a batch waits for that', () => {
  const member = withSnapshot();
  append(member, 11, { type: EntryType.EntryConfChange, data: new Uint8Array(0) });
  assert.equal(member.stop(), true);
  assert.deepEqual(member.applied, []);
});

test('a process that was paused ticks once, not once for each interval that it missed', () => {
  const member = new Member([SELF, LEADER]);
  member.loop.start();
  const { turns } = member;
  member.clock.advance(HEARTBEAT_MS * 3);
  assert.equal(member.turns - turns, 4, 'the first turn, and one for each tick');
});

/** For how long an entry has been where, from `startMs` on. */
function phasesOf(
  member: Member,
  startMs: number,
): readonly [queue: number, sync: number, replication: number] {
  const moments = member.loop.phases.of(member.wal.lastIndex);
  assert.ok(moments !== null);
  const { savingMs, savedMs, committedMs } = moments;
  return [savingMs - startMs, savedMs - savingMs, committedMs - savedMs];
}

test('an entry that waits for its turn has been in the queue', () => {
  const member = new Member().lead();
  member.isHeldBack = true;
  const startMs = member.clock.now();
  member.propose('a');
  member.clock.advance(500);
  member.isHeldBack = false;
  member.loop.wake();
  member.clock.settle();
  assert.deepEqual(phasesOf(member, startMs), [500, 0, 0]);
});

test('an entry that waits for the disk has been in the sync of the log', () => {
  const member = new Member().lead();
  const startMs = member.clock.now();
  member.stallMs = 400;
  member.propose('a');
  member.clock.settle();
  assert.deepEqual(phasesOf(member, startMs), [0, 400, 0]);
});

test('an entry that waits for the others has been in replication', () => {
  const member = new Member([SELF, LEADER]);
  const { clock, loop, node } = member;
  loop.start();
  node.campaign();
  loop.wake();
  clock.settle();
  const answer = (type: number, index = 0): void => {
    loop.step(new Message({ type, from: LEADER, to: SELF, term: node.term, index }));
    clock.settle();
  };
  answer(MessageType.MsgVoteResp);
  answer(MessageType.MsgAppResp, member.wal.lastIndex);
  const startMs = clock.now();
  member.propose('a');
  clock.settle();
  assert.equal(loop.phases.of(member.wal.lastIndex), null, 'nobody knows when it will be committed');
  clock.advance(300);
  answer(MessageType.MsgAppResp, member.wal.lastIndex);
  assert.deepEqual(phasesOf(member, startMs), [0, 0, 300]);
});

test('what waits for messages is done when those that raft has made are with the network, not before', () => {
  const member = new Member([SELF, LEADER]);
  member.loop.start();
  member.clock.settle();
  let sentBefore = -1;
  // Made at once, but it leaves in a later turn.
  member.node.campaign();
  member.loop.afterMessages(() => {
    sentBefore = member.sent.length;
  });
  assert.deepEqual([member.sent.length, sentBefore], [0, -1]);
  member.loop.wake();
  member.clock.settle();
  assert.ok(member.sent.length > 0 && sentBefore === member.sent.length, 'after the campaign');
});

test('how long entries have waited for the disk is told, without the time in which there was no processor', () => {
  const member = new Member().lead();
  const { clock, saved, wal } = member;
  const save = (stallMs: number): [number, number][] => {
    saved.length = 0;
    member.stallMs = stallMs;
    member.propose('x');
    clock.advance(950);
    return [...saved];
  };
  assert.deepEqual(save(HEARTBEAT_MS - 1), [[HEARTBEAT_MS - 1, wal.lastIndex]]);
  const late = new Member().lead();
  late.stallMs = HEARTBEAT_MS;
  late.propose('x');
  late.clock.settle();
  const what = 'the event loop stood still for a tick: nobody knows what for';
  assert.equal(late.saved.at(-1)?.[1], late.wal.lastIndex - 1, what);
  // From here on the disk is not waited for inline.
  assert.equal(wal.prefersInline, false);
  // A write and a sync.
  member.diskMs = 175;
  assert.deepEqual(save(0), [[350, wal.lastIndex]], 'three ticks came in time meanwhile');
  saved.length = 0;
  member.propose('y');
  clock.advance(120);
  clock.stalledMs += 200;
  clock.advance(600);
  assert.deepEqual(saved, [[350, wal.lastIndex]], 'without the 200 ms in which nothing ran');
});
