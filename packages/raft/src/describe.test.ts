import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ConfChange,
  ConfChangeSingle,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  Entry,
  EntryType,
  Message,
  MessageType,
  Snapshot,
  SnapshotMetadata,
} from '@etcd/api/raftpb';
import { confChangeEntry } from './confchange/conf-change.ts';
import {
  describeConfChange,
  describeEntry,
  describeMessage,
  describeReady,
  describeSnapshot,
} from './describe.ts';
import { LOCAL_APPEND_THREAD } from './message.ts';
import { quoteBytes } from './quote.ts';
import { TestMember } from './rafttest/test-group.ts';

test('bytes are quoted as text where they are text', () => {
  for (const [bytes, expected] of [
    [Buffer.from(''), '""'],
    [Buffer.from('plain text'), '"plain text"'],
    [Buffer.from('a"b\\c\n\t\r'), '"a\\"b\\\\c\\n\\t\\r"'],
    [Buffer.from('äß€😀'), '"äß€😀"'],
    [Buffer.from([0, 7, 0x1f, 0x7f]), '"\\x00\\a\\x1f\\x7f"'],
    [Buffer.from([0xff, 0xfe, 0x61]), '"\\xff\\xfea"'],
    // Cut off, too long for what it says, a surrogate, beyond Unicode.
    [Buffer.from([0xe2, 0x82]), '"\\xe2\\x82"'],
    [Buffer.from([0xc0, 0xaf]), '"\\xc0\\xaf"'],
    [Buffer.from([0xed, 0xa0, 0x80]), '"\\xed\\xa0\\x80"'],
    [Buffer.from([0xf5, 0x80, 0x80, 0x80]), '"\\xf5\\x80\\x80\\x80"'],
    // Spaces and formatting characters other than the ASCII space.
    [Buffer.from('\u00a0\u200b\u{e0001}'), '"\\u00a0\\u200b\\U000e0001"'],
  ] as const) {
    assert.equal(quoteBytes(bytes), expected);
  }
});

test('an entry is described with its data as the application wants it', () => {
  const entry = new Entry({ term: 3, index: 7, data: Buffer.from('x') });
  assert.equal(describeEntry(entry), '3/7 EntryNormal "x"');
  assert.equal(
    describeEntry(entry, () => ''),
    '3/7 EntryNormal',
  );
  const change = new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: 9n });
  assert.equal(describeEntry(confChangeEntry(change)), '0/0 EntryConfChange r9');
  assert.equal(describeEntry(confChangeEntry(null)), '0/0 EntryConfChangeV2');
  assert.match(
    describeEntry(new Entry({ type: EntryType.EntryConfChange, data: Uint8Array.of(0xff) })),
    /DecodeError/,
  );
  assert.equal(describeEntry(new Entry({ type: 42 })), '0/0 42');
});

test('a change is described by all that it says', () => {
  const change = new ConfChangeV2({
    transition: 2,
    changes: [
      new ConfChangeSingle({ nodeId: 1n }),
      new ConfChangeSingle({ type: ConfChangeType.ConfChangeAddLearnerNode, nodeId: 2n }),
    ],
    context: Buffer.from('why'),
  });
  assert.equal(
    describeConfChange(change),
    'transition:ConfChangeTransitionJointExplicit changes:{type:ConfChangeAddNode node_id:1} ' +
      'changes:{type:ConfChangeAddLearnerNode node_id:2} context:"why"',
  );
});

test('a message is described with what it carries', () => {
  const snapshot = new Snapshot({
    metadata: new SnapshotMetadata({
      index: 5,
      term: 2,
      confState: new ConfState({ voters: [1n, 2n], learners: [3n] }),
    }),
  });
  assert.equal(
    describeSnapshot(snapshot),
    'Index:5 Term:2 ConfState:Voters:[1 2] VotersOutgoing:[] Learners:[3] LearnersNext:[] AutoLeave:false',
  );
  const message = new Message({
    type: MessageType.MsgSnap,
    from: 0xabcn,
    to: LOCAL_APPEND_THREAD,
    term: 2,
    snapshot,
  });
  assert.equal(
    describeMessage(message),
    `abc->AppendThread MsgSnap Term:2 Log:0/0\n  Snapshot: ${describeSnapshot(snapshot)}`,
  );
  assert.equal(describeMessage(new Message({ type: 99 })), 'None->None 99 Term:0 Log:0/0');
});

test('a Ready without anything says so', () => {
  assert.equal(describeReady(new TestMember(1n, { voters: [1n] }).node.ready()), '<empty Ready>');
});
