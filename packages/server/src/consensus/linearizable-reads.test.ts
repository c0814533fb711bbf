/** What counts as an answer to a question about the commit index. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { ReadState } from '@etcd/raft';
import { SimClock } from '@etcd/testing';
import { LinearizableReads, type LinearizableReadsOptions } from './linearizable-reads.ts';

/** The reads of one run of a process, and what it has asked the leader. */
function startReads(random: SeededRandom): { reads: LinearizableReads; asked: Uint8Array[] } {
  const asked: Uint8Array[] = [];
  const node = {
    readIndex: (context: Uint8Array) => void asked.push(context),
  } as unknown as LinearizableReadsOptions['node'];
  const reads = new LinearizableReads({
    node,
    clock: new SimClock(),
    logger: SILENT_LOGGER,
    requestTimeoutMs: 1000,
    wake: () => {},
    appliedIndex: () => 10,
    random,
    onSlow: () => {},
    onFailed: () => {},
  });
  return { reads, asked };
}

test('an answer that was meant for another member, or for a former run of this one, serves no read', () => {
  const random = new SeededRandom(1);
  const [former, reborn] = [startReads(random), startReads(random)];
  let served = 0;
  const reader = { onReadable: () => void served++, onUnreadable: () => {} };
  for (const { reads } of [former, reborn]) {
    reads.add(reader);
    reads.ask();
  }
  reborn.reads.onReadState(new ReadState(5, former.asked[0]!));
  assert.equal(served, 0);
  reborn.reads.onReadState(new ReadState(10, reborn.asked[0]!));
  assert.equal(served, 1);
});
