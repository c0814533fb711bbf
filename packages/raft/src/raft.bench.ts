/**
 * What raft itself costs per entry: `node packages/raft/src/raft.bench.ts [part of a case's name]`. Storage is in
 * memory, nothing is written or sent; the log is compacted as a server does it.
 */
import { Entry, MessageType } from '@etcd/api/raftpb';
import { SeededRandom } from '@etcd/base';
import { MemoryStorage, type RaftConfig, RawNode } from './index.ts';

const ENTRIES_PER_CASE = 1_000_000;
const ROUNDS = 5;
/** Entries that stay in the log for slow followers. */
const CATCH_UP_ENTRIES = 5000;
const DATA = new Uint8Array(270);

class Member {
  readonly storage = new MemoryStorage();
  readonly node: RawNode;
  applied = 0;

  constructor(id: bigint, ids: readonly bigint[], options: Partial<RaftConfig>) {
    this.node = new RawNode({
      id,
      electionTicks: 10,
      heartbeatTicks: 1,
      storage: this.storage,
      random: new SeededRandom(Number(id)),
      maxSizePerMsgBytes: 1024 * 1024,
      maxInflightMsgs: 512,
      checkQuorum: true,
      preVote: true,
      ...options,
    });
    this.node.bootstrap(ids.map((peer) => ({ id: peer })));
  }

  /** One Ready, everything but its messages done. */
  handle(): ReturnType<RawNode['ready']> {
    const ready = this.node.ready();
    this.storage.append(ready.entries);
    if (ready.hardState !== null) this.storage.setHardState(ready.hardState);
    if (ready.committedEntries.length > 0) {
      this.applied = ready.committedEntries.at(-1)!.index;
      if (this.applied - this.storage.firstIndex() > 2 * CATCH_UP_ENTRIES) {
        this.storage.compact(this.applied - CATCH_UP_ENTRIES);
      }
    }
    this.node.advance();
    return ready;
  }
}

/** Handles Readys and delivers messages until there are none. */
function settle(members: readonly Member[]): void {
  for (let worked = true; worked; ) {
    worked = false;
    for (const member of members) {
      while (member.node.hasReady()) {
        worked = true;
        for (const message of member.handle().messages) members[Number(message.to) - 1]!.node.step(message);
      }
    }
  }
}

function group(count: number, options: Partial<RaftConfig> = {}): Member[] {
  const ids = Array.from({ length: count }, (_, i) => BigInt(i + 1));
  const members = ids.map((id) => new Member(id, ids, options));
  settle(members);
  members[0]!.node.campaign();
  settle(members);
  return members;
}

/** Proposes batches one after the other; returns the time per entry. */
function measure(members: readonly Member[], batchCount: number): number {
  const batch = new Array<Uint8Array>(batchCount).fill(DATA);
  const leader = members[0]!;
  const iterations = Math.ceil(ENTRIES_PER_CASE / batchCount / (batchCount === 1 ? 4 : 1));
  const start = process.hrtime.bigint();
  for (let i = 0; i < iterations; i++) {
    if (leader.node.propose(batch) !== null) throw new Error('proposal dropped');
    settle(members);
  }
  const elapsedNs = Number(process.hrtime.bigint() - start);
  if (leader.applied !== leader.node.committed) throw new Error('not everything was applied');
  return elapsedNs / iterations / batchCount;
}

/** Compactions of 100 entries each, with 100,000 in the log. */
function compactLargeLog(): number {
  const storage = new MemoryStorage();
  const appendUntil = (last: number): void => {
    const entries = [];
    for (let i = storage.lastIndex() + 1; i <= last; i++) {
      entries.push(new Entry({ index: i, term: 1, data: DATA }));
    }
    storage.append(entries);
  };
  appendUntil(100_000);
  let elapsedNs = 0;
  for (let round = 1; round <= 1000; round++) {
    appendUntil(100_000 + 100 * round);
    const start = process.hrtime.bigint();
    storage.compact(100 * round);
    elapsedNs += Number(process.hrtime.bigint() - start);
  }
  return elapsedNs / 1000;
}

/** A follower's acknowledgement, the commonest message of a leader. */
function acknowledgements(): number {
  const members = group(3);
  const leader = members[0]!;
  const count = 200_000;
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) {
    leader.node.propose([DATA]);
    for (const message of leader.handle().messages) {
      if (message.type === MessageType.MsgApp && message.to === 2n) members[1]!.node.step(message);
    }
    for (const message of members[1]!.handle().messages) leader.node.step(message);
    leader.handle();
  }
  return Number(process.hrtime.bigint() - start) / count;
}

const CASES: Readonly<Record<string, () => number>> = {
  'one voter, batches of 1 (ns/entry)': () => measure(group(1), 1),
  'one voter, batches of 10 (ns/entry)': () => measure(group(1), 10),
  'one voter, batches of 1000 (ns/entry)': () => measure(group(1), 1000),
  'three voters, batches of 1 (ns/entry)': () => measure(group(3), 1),
  'three voters, batches of 10 (ns/entry)': () => measure(group(3), 10),
  'three voters, batches of 1000 (ns/entry)': () => measure(group(3), 1000),
  'entry to one follower and back (ns)': acknowledgements,
  'compact 100 of 100,000 entries (ns)': compactLargeLog,
};

const wanted = process.argv[2] ?? '';
for (const [name, run] of Object.entries(CASES)) {
  if (!name.includes(wanted)) continue;
  const results = Array.from({ length: ROUNDS }, run).sort((a, b) => a - b);
  process.stdout.write(`${name.padEnd(46)} ${results[0]!.toFixed(0).padStart(7)} best of ${ROUNDS}\n`);
}
