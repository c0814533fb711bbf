import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Prober } from './prober.ts';
import { PeerWorld, peerUrls, REMOTE, responseOf } from './testing/peer-world.ts';

const PROBE_MS = 4000;
const UNHEALTHY = 'prober detected unhealthy status';
const DRIFT = 'prober found high clock drift';

function setUp(...urls: readonly string[]) {
  const world = new PeerWorld();
  const prober = new Prober(world, REMOTE, peerUrls(...(urls.length === 0 ? ['http://b:1'] : urls)));
  return { world, prober };
}

/** The other member's clock is `driftMs` behind ours. */
function answer(world: PeerWorld, driftMs = 0): void {
  const Now = new Date(world.clock.wallNow() - driftMs).toISOString();
  world.open[0]!.answer(responseOf(200, JSON.stringify({ OK: true, Now })));
}

test('a member is asked for its time every four seconds, at /raft/probing, one question at a time', () => {
  const { world } = setUp();
  world.clock.advance(PROBE_MS - 1);
  assert.equal(world.calls.length, 0);
  world.clock.advance(1);
  const { call } = world.open[0]!;
  assert.deepEqual([call.method, call.path, call.timeoutMs, call.body], ['GET', '/raft/probing', 5000, null]);
  world.clock.advance(PROBE_MS);
  assert.equal(world.calls.length, 1, 'the first has no answer yet');
  answer(world);
  world.clock.advance(PROBE_MS);
  assert.equal(world.calls.length, 2);
});

test('the round trip is smoothed, and observed with every report', () => {
  const { world } = setUp();
  const histogram = world.metrics.peerRoundTripTimeSeconds.labels('b');
  world.clock.advance(PROBE_MS);
  world.clock.advance(80);
  answer(world);
  world.clock.advance(1000);
  assert.deepEqual([histogram.count(), histogram.sum], [1, 0.08]);
  world.clock.advance(PROBE_MS - 1080);
  world.clock.advance(160);
  answer(world);
  world.clock.advance(PROBE_MS);
  answer(world);
  world.clock.advance(30_000);
  assert.ok(histogram.count() >= 2);
  assert.ok(histogram.sum > 0.16 && histogram.sum < 0.25, String(histogram.sum));
});

test('an unhealthy member is named every five seconds, a healthy one looked at every thirty', () => {
  const { world } = setUp();
  world.clock.advance(PROBE_MS);
  world.open[0]!.answer(null, 'connection refused');
  world.clock.advance(16_000);
  const lines = world.logged(UNHEALTHY);
  assert.equal(lines.length, 4);
  assert.match(lines[0]!, /"round-tripper-name":"ROUND_TRIPPER_RAFT_MESSAGE","remote-peer-id":"b"/);
  assert.match(lines[0]!, /"error":"connection refused"/);
  answer(world);
  world.clock.advance(5000);
  const histogram = world.metrics.peerRoundTripTimeSeconds.labels('b');
  const before = histogram.count();
  world.clock.advance(29_000);
  assert.equal(histogram.count(), before);
  assert.equal(world.logged(UNHEALTHY).length, 4);
});

test('after a failure the next URL is asked, and new URLs from their first on', () => {
  const { world, prober } = setUp('http://b:1', 'http://bb:2');
  const asked = (): string[] => world.calls.map(({ call }) => call.url.text);
  for (let i = 0; i < 3; i++) {
    world.clock.advance(PROBE_MS);
    world.open[0]!.answer(null, 'refused');
  }
  assert.deepEqual(asked(), ['http://b:1', 'http://bb:2', 'http://b:1']);
  prober.update(peerUrls('http://c:3'));
  world.clock.advance(PROBE_MS);
  answer(world);
  world.clock.advance(PROBE_MS);
  assert.deepEqual(asked().slice(3), ['http://c:3', 'http://c:3']);
});

test('a clock that is more than a second behind ours is named', () => {
  for (const [driftMs, isNamed] of [
    [0, false],
    [1000, false],
    [1500, true],
    [-60_000, false],
  ] as const) {
    const { world } = setUp();
    world.clock.advance(PROBE_MS);
    answer(world, driftMs);
    world.clock.advance(1000);
    assert.equal(world.logged(DRIFT).length, isNamed ? 1 : 0, `${driftMs} ms`);
    if (isNamed) assert.match(world.logged(DRIFT)[0]!, /"clock-drift":"1\.500s"/);
  }
});

test('S21 whatever is no time is an unhealthy member, and no more', () => {
  const answers: readonly [number, string][] = [
    [503, '{"OK":true,"Now":"2026-01-02T03:04:05Z"}'],
    [200, ''],
    [200, 'null'],
    [200, '{"OK":false,"Now":"2026-01-02T03:04:05Z"}'],
    [200, '{"OK":true}'],
    [200, '{"OK":true,"Now":5}'],
    [200, '{"OK":true,"Now":"yesterday"}'],
    [200, '[{"OK":true}'],
  ];
  for (const [status, body] of answers) {
    const { world } = setUp();
    world.clock.advance(PROBE_MS);
    world.open[0]!.answer(responseOf(status, body));
    world.clock.advance(1000);
    assert.match(world.logged(UNHEALTHY)[0]!, new RegExp(`unexpected answer with status ${status}`), body);
    assert.equal(world.metrics.peerRoundTripTimeSeconds.labels('b').count(), 0);
  }
});

test('nanoseconds, as Go writes them, are read', () => {
  const { world } = setUp();
  world.clock.advance(PROBE_MS);
  const now = new Date(world.clock.wallNow()).toISOString().replace('Z', '678901Z');
  world.open[0]!.answer(responseOf(200, `{"OK":true,"Now":"${now}"}\n`));
  world.clock.advance(1000);
  assert.deepEqual([world.logged(UNHEALTHY).length, world.logged(DRIFT).length], [0, 0]);
});

test('a stopped prober asks and reports no more', () => {
  const { world, prober } = setUp();
  world.clock.advance(PROBE_MS);
  prober.stop();
  assert.equal(world.open.length, 0);
  world.clock.advance(100_000);
  assert.equal(world.calls.length, 1);
  assert.equal(world.logged('prober').length, 0);
});
