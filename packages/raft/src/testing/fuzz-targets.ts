/** A member of a group, fed with messages, ticks and proposals: nothing that is committed is ever taken back or changed. */
import { DecodeError } from '@etcd/api';
import {
  ConfChangeV2,
  ConfState,
  decodeMessage,
  Entry,
  EntryType,
  encodeConfChangeV2,
  encodeMessage,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { parseChanges } from '../confchange/conf-change.ts';
import { entriesOf, TestMember, type TestOptions } from '../rafttest/test-group.ts';

const TICK = 0;
const PROPOSE = 1;
const CHANGE = 2;
const RAW = 3;
const MESSAGE = 4;
const OPERATIONS = 5;
const MAX_STEPS = 60;
const MAX_RAW_BYTES = 300;
/** Beyond it terms are not compared: an index may be as large as a number. */
const MAX_COMPARED = 64;
const CHANGES = ['v3', 'l3', 'r3', 'v4 r3', 'l2', 'r2 r3 l2', 'v2'];

/** Like those that a member starts from, and with some of the past. */
function memberOf(kind: number, options: TestOptions): TestMember {
  const three = { voters: [1n, 2n, 3n], logTerms: [1, 1, 1], term: 1, commit: 2 };
  switch (kind % 6) {
    case 0:
      return new TestMember(1n, three, options);
    case 1:
      return leaderOf(new TestMember(1n, three, options));
    case 2:
      return new TestMember(1n, { voters: [2n, 3n], learners: [1n], logTerms: [1], term: 1 }, options);
    case 3:
      return new TestMember(1n, { voters: [] }, options);
    case 4:
      return new TestMember(
        1n,
        { voters: [1n, 2n, 3n], logTerms: [1, 1] },
        { ...options, mustHave: { index: 4, term: 2 } },
      );
    default: {
      const member = leaderOf(new TestMember(1n, three, options));
      member.node.applyConfChange(new ConfChangeV2({ transition: 2, changes: parseChanges('r2 r3 l2') }));
      return member;
    }
  }
}

function leaderOf(member: TestMember): TestMember {
  member.node.campaign();
  member.handle();
  for (const type of [MessageType.MsgPreVoteResp, MessageType.MsgVoteResp]) {
    member.receive(new Message({ type, from: 2n, to: 1n, term: 2 }));
  }
  return member;
}

function position(reader: InputReader): number {
  const value = reader.byte();
  return value < 250 ? value % 12 : 2 ** (47 + (value % 8));
}

function snapshotOf(reader: InputReader): Snapshot {
  const ids = (): bigint[] => [1n, 2n, 3n, 4n].filter((_, i) => (bits >> i) % 2 === 1);
  let bits = reader.byte();
  const voters = ids();
  bits >>= 4;
  const learners = ids();
  const confState = new ConfState({ voters, learners, autoLeave: reader.byte() === 1 });
  const metadata = new SnapshotMetadata({ index: position(reader), term: position(reader), confState });
  return new Snapshot({ data: Uint8Array.of(1), metadata });
}

function messageOf(reader: InputReader): Message {
  const [type, from, flags] = [reader.byte() % 26, BigInt(reader.byte() % 5), reader.byte()];
  const message = new Message({
    type,
    from,
    to: flags % 32 === 31 ? 9n : 1n,
    term: position(reader),
    index: position(reader),
    logTerm: position(reader),
    commit: position(reader),
    reject: flags % 4 === 3,
    rejectHint: position(reader),
  });
  if (flags % 8 > 3) {
    message.entries = entriesOf(
      message.index + 1,
      ...Array.from({ length: reader.byte() % 4 }, () => position(reader)),
    );
    for (const entry of message.entries) {
      entry.data = reader.bytes(reader.byte() % 8);
    }
  }
  if (flags > 127) message.snapshot = snapshotOf(reader);
  message.context = reader.bytes(reader.byte() % 20);
  return message;
}

/** Changes of who belongs to the group that nobody could apply are refused before raft sees them. */
function withoutChanges(message: Message): Message {
  for (const entry of message.entries) entry.type = EntryType.EntryNormal;
  return message;
}

function step(member: TestMember, reader: InputReader): void {
  switch (reader.byte() % OPERATIONS) {
    case TICK:
      member.tick(1 + (reader.byte() % 24));
      return;
    case PROPOSE:
      member.propose('x');
      return;
    case CHANGE: {
      const text = CHANGES[reader.byte() % CHANGES.length]!;
      const change = new ConfChangeV2({ transition: reader.byte() % 3, changes: parseChanges(text) });
      const entry = new Entry({ type: 2, data: encodeConfChangeV2(change) });
      member.receive(new Message({ type: MessageType.MsgProp, from: 2n, to: 1n, entries: [entry] }));
      return;
    }
    case RAW:
      try {
        member.receive(withoutChanges(decodeMessage(reader.bytes(reader.number(2) % MAX_RAW_BYTES))));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
      return;
    default:
      member.receive(decodeMessage(encodeMessage(messageOf(reader))));
  }
}

/** What was known to be committed, by index: its term. */
class Committed {
  readonly #terms: (number | undefined)[] = [];
  #committed = 0;
  #term = 0;

  check({ raft, node }: TestMember): void {
    const { log } = raft;
    if (log.committed < log.applied || log.committed > log.lastIndex())
      throw new Error('committed what is not there');
    if (log.committed < this.#committed)
      throw new Error(`committed ${this.#committed}, then ${log.committed}`);
    if (node.term < this.#term) throw new Error(`term ${this.#term}, then ${node.term}`);
    this.#committed = log.committed;
    this.#term = node.term;
    const end = Math.min(log.committed, MAX_COMPARED);
    for (let index = log.firstIndex(); index <= end; index++) {
      const term = log.term(index);
      const known = this.#terms[index] ?? term;
      if (known !== term) throw new Error(`entry ${index} was of term ${known}, now of ${term}`);
      this.#terms[index] = term;
    }
    for (const [id, { match, next }] of node.status().progress) {
      if (match >= next) throw new Error(`of ${id}: match ${match}, next ${next}`);
    }
  }
}

function compact(type: number, from: number, fields: readonly number[]): number[] {
  return [MESSAGE, type, from, ...fields, 0];
}

/** Who it is and how careful, then one thing after the other. */
const raftStep: FuzzTarget = {
  name: 'raft-step',
  what: 'a member’s agreement: messages of other members, ticks, proposals and changes of who belongs to it',
  maxBytes: 600,
  tokens: ['CampaignTransfer', 'CampaignPreElection'],
  seeds: () => {
    const append = compact(MessageType.MsgApp, 2, [4, 2, 3, 1, 3, 0, 1, 2, 0, 0]);
    const vote = compact(MessageType.MsgVote, 3, [0, 4, 9, 1, 0, 0]);
    const heartbeat = compact(MessageType.MsgHeartbeat, 2, [0, 2, 0, 0, 3, 0]);
    const acknowledged = compact(MessageType.MsgAppResp, 2, [0, 2, 4, 0, 0, 0]);
    const snapshot = compact(MessageType.MsgSnap, 2, [128, 3, 0, 0, 0, 0, 0x07, 0, 8, 2]);
    const raw = Array.from(
      encodeMessage(new Message({ type: MessageType.MsgHeartbeat, from: 2n, to: 1n, term: 2 })),
    );
    return [
      [0, 0, ...append, ...heartbeat, TICK, 20],
      [0, 3, TICK, 20, ...vote, ...snapshot],
      [1, 0, PROPOSE, ...acknowledged, CHANGE, 0, 0, ...acknowledged, TICK, 3],
      [1, 3, PROPOSE, ...compact(MessageType.MsgReadIndex, 3, [0, 0, 0, 0, 0, 0]), ...acknowledged],
      [2, 0, ...append, ...snapshot],
      [3, 1, ...snapshot, ...append],
      [4, 0, TICK, 20, ...vote, ...append],
      [5, 0, ...acknowledged, PROPOSE, CHANGE, 6, 1],
      [0, 0, RAW, raw.length, 0, ...raw],
    ].map((bytes) => Uint8Array.from(bytes));
  },
  run: (input) => {
    const reader = new InputReader(input);
    const kind = reader.byte();
    const care = reader.byte();
    const member = memberOf(kind, { preVote: care % 2 === 1, checkQuorum: care % 4 > 1 });
    const committed = new Committed();
    for (let steps = 0; !reader.isAtEnd && steps < MAX_STEPS; steps++) {
      step(member, reader);
      committed.check(member);
    }
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [raftStep];
