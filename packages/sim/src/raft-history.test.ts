/** Raft's properties are seen to be violated when they are. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry } from '@etcd/api/raftpb';
import { MemoryStorage, RaftState, type RawNode } from '@etcd/raft';
import { type ObservedMember, RaftHistory } from './raft-history.ts';

function member(
  name: string,
  id: bigint,
  entries: readonly [term: number, data: string][],
): {
  observed: ObservedMember;
  node: { term: number; raftState: RaftState };
} {
  const raftStorage = new MemoryStorage();
  raftStorage.append(
    entries.map(([term, data], i) => new Entry({ term, index: i + 1, data: Buffer.from(data) })),
  );
  const node = { term: 1, raftState: RaftState.Follower };
  const observed = {
    name,
    memberId: id,
    node: node as unknown as RawNode,
    raftStorage,
    appliedIndex: entries.length,
  };
  return { observed, node };
}

function history(): { history: RaftHistory; violations: string[]; committed: Entry[] } {
  const violations: string[] = [];
  const committed: Entry[] = [];
  const raft = new RaftHistory({
    violate: (property) => violations.push(property),
    onCommitted: (entry) => committed.push(entry),
  });
  return { history: raft, violations, committed };
}

const unseen = (): { appliedIndex: number; ledTerm: number } => ({ appliedIndex: 0, ledTerm: 0 });

test('members that apply the same entries are fine, and each entry is told once', () => {
  const { history: raft, violations, committed } = history();
  raft.observe(
    member('a', 1n, [
      [1, 'x'],
      [1, 'y'],
    ]).observed,
    unseen(),
  );
  raft.observe(
    member('b', 2n, [
      [1, 'x'],
      [1, 'y'],
    ]).observed,
    unseen(),
  );
  assert.deepEqual(violations, []);
  assert.equal(committed.length, 2);
});

test('another entry at an applied index violates state machine safety', () => {
  const { history: raft, violations } = history();
  raft.observe(member('a', 1n, [[1, 'x']]).observed, unseen());
  raft.observe(member('b', 2n, [[1, 'z']]).observed, unseen());
  assert.deepEqual(violations, ['state machine safety']);
});

test('two leaders in a term violate election safety; a leader that lacks what is committed, leader completeness', () => {
  const { history: raft, violations } = history();
  const a = member('a', 1n, [[1, 'x']]);
  const b = member('b', 2n, []);
  a.node.raftState = RaftState.Leader;
  raft.observe(a.observed, unseen());
  b.node.raftState = RaftState.Leader;
  raft.observe(b.observed, unseen());
  assert.deepEqual(violations, ['election safety']);
  b.node.term = 2;
  raft.observe(b.observed, unseen());
  assert.deepEqual(violations, ['election safety', 'leader completeness']);
});
