/** Logs that do not match are seen, and leaders that rewrite their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Entry } from '@etcd/api/raftpb';
import { MemoryStorage, RaftState } from '@etcd/raft';
import { LogMatching } from './log-matching.ts';

interface Put {
  readonly index: number;
  readonly term: number;
  readonly data: string;
}

function entriesOf(puts: readonly Put[]): Entry[] {
  return puts.map(({ index, term, data }) => new Entry({ index, term, data: Buffer.from(data) }));
}

function newLogs(): {
  violations: string[];
  append: (name: string, puts: readonly Put[], leadsTerm?: number) => void;
} {
  const violations: string[] = [];
  const logs = new LogMatching((property) => violations.push(property));
  const storages = new Map<string, MemoryStorage>();
  const append = (name: string, puts: readonly Put[], leadsTerm = 0): void => {
    const raftStorage = storages.get(name) ?? new MemoryStorage();
    storages.set(name, raftStorage);
    const raftState = leadsTerm > 0 ? RaftState.Leader : RaftState.Follower;
    const log = { name, raftStorage, node: { raftState, term: leadsTerm } };
    const entries = entriesOf(puts);
    logs.beforeAppend(log, entries);
    raftStorage.append(entries);
    logs.onAppended(log, entries);
  };
  return { violations, append };
}

test('logs that are equal as far as they have the same last entry are fine, whatever comes behind it', () => {
  const { violations, append } = newLogs();
  append('a', [
    { index: 1, term: 1, data: 'x' },
    { index: 2, term: 1, data: 'y' },
  ]);
  append('b', [
    { index: 1, term: 1, data: 'x' },
    { index: 2, term: 2, data: 'z' },
  ]);
  // a follows b, and gives up what nobody has committed.
  append('a', [{ index: 2, term: 2, data: 'z' }]);
  assert.deepEqual(violations, []);
});

test('another entry of the same index and term violates log matching; so does another one before it', () => {
  const { violations, append } = newLogs();
  append('a', [{ index: 1, term: 1, data: 'x' }]);
  append('b', [{ index: 1, term: 1, data: 'z' }]);
  assert.deepEqual(violations, ['log matching']);
  append('c', [
    { index: 1, term: 1, data: 'x' },
    { index: 2, term: 3, data: 'y' },
  ]);
  append('d', [
    { index: 1, term: 2, data: 'x' },
    { index: 2, term: 3, data: 'y' },
  ]);
  assert.deepEqual(violations, ['log matching', 'log matching']);
});

test('a leader that replaces an entry of its own term violates append-only; one that follows another may', () => {
  const { violations, append } = newLogs();
  append('a', [{ index: 1, term: 1, data: 'x' }], 1);
  append('a', [{ index: 2, term: 1, data: 'y' }], 1);
  append('a', [{ index: 2, term: 2, data: 'z' }]);
  assert.deepEqual(violations, []);
  append('a', [{ index: 3, term: 3, data: 'x' }], 3);
  append('a', [{ index: 3, term: 3, data: 'x' }], 3);
  assert.deepEqual(violations, ['leader append-only']);
});
