/** Who rests for how long, and that all of them can be woken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { drawLeaseFactor, drawLongTempo, lasting, Pauses, rarerTraits, USUAL_TEMPO } from './tempo.ts';
import { ORDINARY } from './traits.ts';

const ALWAYS = { ...drawLongTempo(new SeededRandom(1)), restShare: 1, meanRestMs: 600_000 };

function pausesOf(tempo: typeof USUAL_TEMPO): { clock: SimClock; pauses: Pauses } {
  const clock = new SimClock();
  return { clock, pauses: new Pauses(clock, tempo, new SeededRandom(2)) };
}

test('in most worlds a pause is what it is, and nothing is drawn for it', () => {
  const { clock, pauses } = pausesOf(USUAL_TEMPO);
  const heard: number[] = [];
  pauses.pause(30, () => heard.push(clock.now()));
  pauses.rest(50, () => heard.push(clock.now()));
  clock.advance(1000);
  assert.deepEqual(heard, [30, 50]);
  const [random, same] = [new SeededRandom(3), new SeededRandom(3)];
  assert.equal(lasting(random, 70, USUAL_TEMPO), 70);
  assert.equal(drawLeaseFactor(random, USUAL_TEMPO), 1);
  assert.equal(random.uint32(), same.uint32());
});

test('in a long world rests take minutes, and end soon when everybody is woken', () => {
  const { clock, pauses } = pausesOf(ALWAYS);
  const heard: number[] = [];
  for (let i = 0; i < 20; i++) pauses.pause(30, () => heard.push(clock.now()));
  clock.advance(1_200_000);
  assert.equal(heard.length, 20);
  assert.ok(Math.max(...heard) > 300_000, `the longest was ${Math.max(...heard)} ms`);
  pauses.rest(40, () => heard.push(clock.now()));
  pauses.wake();
  pauses.rest(45, () => heard.push(clock.now()));
  clock.advance(50);
  assert.deepEqual(heard.slice(20), [1_200_040, 1_200_045]);
  pauses.relax();
  pauses.rest(1, () => heard.push(clock.now()));
  clock.advance(1);
  assert.equal(heard.length, 22);
});

test('some faults last for hours, and leases live for as long', () => {
  const random = new SeededRandom(4);
  const tempo = { ...ALWAYS, maxLastingFactor: 1000 };
  const drawn = Array.from({ length: 50 }, () => lasting(random, 10_000, tempo));
  assert.ok(Math.min(...drawn) === 10_000 && Math.max(...drawn) > 3_600_000);
  const factors = new Set(Array.from({ length: 50 }, () => drawLeaseFactor(random, tempo)));
  assert.deepEqual([...factors].sort(), [...tempo.leaseFactors].sort());
});

test('what is slow is rarer in long worlds, and never there where it was not', () => {
  const random = new SeededRandom(5);
  const all = { ...ORDINARY, drawsSizes: true, hasHttpPeers: true };
  const drawn = Array.from({ length: 100 }, () => rarerTraits(all, random));
  const count = drawn.filter(({ drawsSizes }) => drawsSizes).length;
  assert.ok(count > 5 && count < 60, `${count} of 100`);
  assert.deepEqual(rarerTraits(ORDINARY, random), ORDINARY);
});

test('every long world has flags that members take, each of them in some', () => {
  const all = Array.from({ length: 200 }, (_, seed) => drawLongTempo(new SeededRandom(seed)));
  const texts = new Set(all.flatMap(({ flags }) => flags ?? []));
  for (const flag of [
    '--heartbeat-interval=1000',
    '--election-timeout=1000',
    '--auto-compaction-mode=periodic',
    '--auto-compaction-retention=2h',
    '--auto-compaction-mode=revision',
    '--corrupt-check-time=10m',
    '--grpc-keepalive-interval=1m',
    '--auto-defrag-rule=dbSizeFree > 20*1024',
  ]) {
    assert.ok(texts.has(flag), flag);
  }
  const gates = all.map(({ flags }) => flags!.find((flag) => flag.startsWith('--feature-gates')) ?? '');
  for (const text of gates) {
    if (text.includes('LeaseCheckpointPersist')) assert.match(text, /LeaseCheckpoint=true/);
  }
});
