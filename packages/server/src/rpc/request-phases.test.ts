import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import { SILENT_LOGGER } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import type { CallTrace, ServerCall } from '@etcd/transport';
import type { EntryMoments } from '../consensus/index.ts';
import { createHandles } from '../metrics/index.ts';
import { RequestTimes, type RequestType } from './request-times.ts';

const WARNING_MS = 300;
const CALL = { info: { remoteAddress: 'r' }, head: { path: '/p' } } as unknown as ServerCall;

type Line = Readonly<Record<string, unknown>>;

/** Request times whose lines are kept, and whose entries came as far as a test says, in milliseconds from the beginning. */
function setUp(moments: EntryMoments | null) {
  const clock = new SimClock();
  const lines: Line[] = [];
  const startMs = clock.now();
  const times = new RequestTimes({
    clock,
    logger: {
      ...SILENT_LOGGER,
      enabled: () => true,
      warn: (message, fields = {}) => {
        if (message === 'request stats') lines.push(fields);
      },
    },
    metrics: createHandles(),
    warningMs: WARNING_MS,
    warningApplyMs: Number.POSITIVE_INFINITY,
    momentsOfApplying: () =>
      moments === null
        ? null
        : {
            savingMs: startMs + moments.savingMs,
            savedMs: startMs + moments.savedMs,
            committedMs: startMs + moments.committedMs,
          },
  });
  const answer = (type: RequestType, afterMs: number): void => {
    const begunMs = times.begin();
    clock.advance(afterMs);
    times.answered(CALL, type, begunMs, true, null);
  };
  return { clock, lines, times, answer };
}

function phasesOf(moments: EntryMoments, afterMs: number): Line {
  const { lines, answer } = setUp(moments);
  answer('Put', afterMs);
  const { phase, queue, replication, apply, 'log-sync': sync } = lines[0]!;
  return { phase, queue, sync, replication, apply };
}

test('a slow write names the phase that it was slow in, and has the others beside it', () => {
  const cases: [slow: string, savingMs: number, savedMs: number, committedMs: number, afterMs: number][] = [
    ['queue', 500, 501, 502, 503],
    ['log-sync', 1, 501, 502, 503],
    ['replication', 1, 2, 502, 503],
    ['apply', 1, 2, 3, 503],
  ];
  for (const [slow, savingMs, savedMs, committedMs, afterMs] of cases) {
    assert.equal(phasesOf({ savingMs, savedMs, committedMs }, afterMs)['phase'], slow);
  }
  assert.deepEqual(phasesOf({ savingMs: 10, savedMs: 30, committedMs: 330 }, 400), {
    phase: 'replication',
    queue: '10ms',
    sync: '20ms',
    replication: '300ms',
    apply: '70ms',
  });
});

test('an entry that is committed before it is durable here has not waited twice', () => {
  const phases = phasesOf({ savingMs: 10, savedMs: 400, committedMs: 200 }, 410);
  assert.deepEqual(phases, {
    phase: 'log-sync',
    queue: '10ms',
    sync: '390ms',
    replication: '0s',
    apply: '10ms',
  });
});

test('a slow range has waited for its agreement, or was long to read', () => {
  for (const [agreementMs, readMs, slow] of [
    [400, 10, 'agreement'],
    [10, 400, 'read'],
  ] as const) {
    const { clock, lines, times } = setUp(null);
    const startMs = times.begin();
    clock.advance(agreementMs);
    const begunMs = clock.now();
    clock.advance(readMs);
    times.ranged(CALL, startMs, begunMs, true, {});
    assert.equal(lines[0]!['phase'], slow);
    assert.deepEqual([lines[0]!['agreement'], lines[0]!['read']], [`${agreementMs}ms`, `${readMs}ms`]);
  }
});

test('an answer that is held back is told of when it is sent, or when its client is gone', () => {
  for (const code of [0, 1]) {
    const { clock, lines, times } = setUp({ savingMs: 1, savedMs: 2, committedMs: 400 });
    const codes: number[] = [];
    const call = { ...CALL, isHeldBack: true, trace: { onEnd: (ended: number) => void codes.push(ended) } };
    const startMs = times.begin();
    clock.advance(401);
    times.answered(call as unknown as ServerCall, 'Put', startMs, true, null);
    assert.deepEqual(lines, []);
    clock.advance(1000);
    (call.trace as CallTrace).onEnd(code, '');
    assert.deepEqual(
      [lines[0]!['phase'], lines[0]!['send'], lines[0]!['time spent']],
      ['send', '1s', '401ms'],
    );
    assert.deepEqual(codes, [code], 'who followed the call before goes on doing so');
  }
  const unheld = setUp({ savingMs: 1, savedMs: 2, committedMs: 400 });
  unheld.answer('Put', 401);
  assert.equal(unheld.lines[0]!['send'], '0s');
});

test('nothing is said of phases that nobody knows, and nothing at all of what was fast', () => {
  const unknown = setUp(null);
  unknown.answer('Put', 400);
  assert.equal('phase' in unknown.lines[0]!, false);
  const compaction = setUp({ savingMs: 1, savedMs: 2, committedMs: 3 });
  compaction.answer('Compaction', 400);
  assert.equal('phase' in compaction.lines[0]!, false, 'it is answered after it was applied');
  const failed = setUp({ savingMs: 1, savedMs: 2, committedMs: 3 });
  const startMs = failed.times.begin();
  failed.clock.advance(400);
  failed.times.failed(CALL, 'Put', startMs, INTERNAL_ERRORS.errors.ErrTimeout, null);
  assert.equal('phase' in failed.lines[0]!, false);
  const fast = setUp({ savingMs: 1, savedMs: 2, committedMs: 3 });
  fast.answer('Put', WARNING_MS);
  assert.deepEqual(fast.lines, []);
});
