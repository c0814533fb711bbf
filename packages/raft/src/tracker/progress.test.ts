import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inflights } from './inflights.ts';
import { Progress, ProgressState } from './progress.ts';

function progressAt(state: ProgressState, match: number, next: number): Progress {
  const progress = new Progress({ id: 2n, next: 1, isLearner: false, inflights: new Inflights(256, 0) });
  progress.reset(match, next);
  progress.state = state;
  return progress;
}

test('a progress describes itself', () => {
  const progress = progressAt(ProgressState.Snapshot, 1, 2);
  progress.isLearner = true;
  progress.pendingSnapshot = 123;
  progress.inflights.add(123, 1);
  assert.equal(
    String(progress),
    'StateSnapshot match=1 next=2 learner paused pendingSnap=123 inactive inflight=1',
  );
});

test('a probe or a full window pauses the flow, a snapshot always does', () => {
  for (const [state, paused, expected] of [
    [ProgressState.Probe, false, false],
    [ProgressState.Probe, true, true],
    [ProgressState.Replicate, false, false],
    [ProgressState.Replicate, true, true],
    [ProgressState.Snapshot, false, true],
    [ProgressState.Snapshot, true, true],
  ] as const) {
    const progress = progressAt(state, 0, 1);
    progress.msgAppFlowPaused = paused;
    assert.equal(progress.paused, expected);
  }
});

test('probing begins behind the match, or behind a snapshot that was sent', () => {
  const replicating = progressAt(ProgressState.Replicate, 1, 5);
  replicating.sentCommit = 4;
  replicating.becomeProbe();
  assert.deepEqual(
    [replicating.state, replicating.next, replicating.sentCommit],
    [ProgressState.Probe, 2, 1],
  );

  const awaitingSnapshot = progressAt(ProgressState.Replicate, 1, 5);
  awaitingSnapshot.becomeSnapshot(10);
  assert.deepEqual([awaitingSnapshot.next, awaitingSnapshot.sentCommit], [11, 10]);
  awaitingSnapshot.becomeProbe();
  assert.deepEqual([awaitingSnapshot.next, awaitingSnapshot.pendingSnapshot], [11, 0]);

  const failedSnapshot = progressAt(ProgressState.Replicate, 1, 5);
  failedSnapshot.becomeSnapshot(10);
  failedSnapshot.pendingSnapshot = 0;
  failedSnapshot.becomeProbe();
  assert.equal(failedSnapshot.next, 2);
});

test('an acknowledgement moves match and next forward only, and resumes the flow if it is news', () => {
  for (const [index, match, next, isNews] of [
    [2, 3, 5, false],
    [3, 3, 5, false],
    [4, 4, 5, true],
    [5, 5, 6, true],
    [9, 9, 10, true],
  ] as const) {
    const progress = progressAt(ProgressState.Probe, 3, 5);
    progress.msgAppFlowPaused = true;
    assert.equal(progress.maybeUpdate(index), isNews);
    assert.deepEqual([progress.match, progress.next], [match, next]);
    assert.equal(progress.msgAppFlowPaused, !isNews);
  }
});

test('a rejection moves next back unless it is out of date', () => {
  for (const [state, match, next, rejected, hint, expected, expectedNext] of [
    // While replicating, rejections at or below the match are out of date.
    [ProgressState.Replicate, 5, 10, 5, 5, false, 10],
    [ProgressState.Replicate, 5, 10, 4, 4, false, 10],
    [ProgressState.Replicate, 5, 10, 9, 9, true, 6],
    // While probing, only that of next - 1 is current.
    [ProgressState.Probe, 0, 0 + 1, 5, 5, false, 1],
    [ProgressState.Probe, 0, 10, 5, 5, false, 10],
    [ProgressState.Probe, 0, 10, 9, 9, true, 9],
    [ProgressState.Probe, 0, 10, 9, 2, true, 3],
    [ProgressState.Probe, 0, 2, 1, 1, true, 1],
    [ProgressState.Probe, 0, 10, 9, 0, true, 1],
    // Never below the match.
    [ProgressState.Probe, 5, 10, 9, 2, true, 6],
    // A hint from nowhere does no harm.
    [ProgressState.Probe, 5, 10, 9, 2 ** 52, true, 9],
  ] as const) {
    const progress = progressAt(state, match, next);
    assert.equal(progress.maybeDecrTo(rejected, hint), expected);
    assert.equal(progress.next, expectedNext);
    assert.ok(progress.match < progress.next);
  }
});

test('sent entries move next on while replicating, and pause a probe', () => {
  const replicating = progressAt(ProgressState.Replicate, 0, 1);
  replicating.sentEntries(3, 30);
  assert.deepEqual([replicating.next, replicating.inflights.count, replicating.paused], [4, 1, false]);
  replicating.sentEntries(0, 0);
  assert.deepEqual([replicating.next, replicating.inflights.count], [4, 1]);

  const probing = progressAt(ProgressState.Probe, 0, 1);
  probing.sentEntries(0, 0);
  assert.equal(probing.paused, false);
  probing.sentEntries(3, 30);
  assert.deepEqual([probing.next, probing.paused], [1, true]);

  const full = new Progress({ id: 2n, next: 1, isLearner: false, inflights: new Inflights(1, 0) });
  full.becomeReplicate();
  full.sentEntries(1, 1);
  assert.equal(full.paused, true);

  assert.throws(() => progressAt(ProgressState.Snapshot, 0, 1).sentEntries(1, 1), /snapshot is pending/);
});

test('a commit index is worth sending only while it could advance the follower', () => {
  const progress = progressAt(ProgressState.Replicate, 3, 8);
  progress.sentCommit = 4;
  assert.equal(progress.canBumpCommit(4), false);
  assert.equal(progress.canBumpCommit(5), true);
  // What was sent covers all that is under way.
  progress.sentCommit = 7;
  assert.equal(progress.canBumpCommit(9), false);
});

test('a copy shares nothing with the original', () => {
  const progress = progressAt(ProgressState.Replicate, 3, 8);
  progress.inflights.add(7, 1);
  progress.recentActive = true;
  const copy = progress.clone();
  assert.equal(String(copy), String(progress));
  copy.becomeProbe();
  copy.maybeUpdate(9);
  assert.equal(String(progress), 'StateReplicate match=3 next=8 inflight=1');
});
