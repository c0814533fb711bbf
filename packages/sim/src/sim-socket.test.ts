/** Simulated connections: order, room, ends that are lost together or alone, machines that say nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { SeededRandom } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { SimProcess } from './process.ts';
import { Fabric } from './sim-network.ts';
import { SimSocket } from './sim-socket.ts';
import { Trace } from './trace.ts';

const STEP_MS = 10;

class Pair {
  readonly clock = new SimClock();
  readonly fabric = new Fabric(this.clock, new Trace(null), new SeededRandom(3));
  readonly errors: string[] = [];
  readonly processes = [this.#process(), this.#process()];
  readonly a = new SimSocket({ fabric: this.fabric, process: this.processes[0]!, machine: 'a' }, false);
  readonly b = new SimSocket({ fabric: this.fabric, process: this.processes[1]!, machine: 'b' }, false);
  received = Buffer.alloc(0);

  constructor() {
    this.a.join(this.b);
    this.b.join(this.a);
    for (const socket of [this.a, this.b]) {
      this.fabric.remember(socket);
      socket.on('error', (error: NodeJS.ErrnoException) =>
        this.errors.push(`${socket.machine} ${error.code}`),
      );
    }
    this.b.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
    });
    this.fabric.accept(['http://b'], { machine: 'b', process: this.processes[1]!, accept: () => {} });
  }

  async run(durationMs: number): Promise<void> {
    for (let ranMs = 0; ranMs < durationMs; ranMs += STEP_MS) {
      await setImmediate();
      this.clock.advance(STEP_MS);
    }
    await setImmediate();
  }

  #process(): SimProcess {
    return new SimProcess({
      clock: this.clock,
      originMs: 0,
      wallOffsetMs: () => 0,
      waitMs: () => 0,
      turnMs: 0,
      onError: (error) => {
        throw error;
      },
    });
  }
}

test('bytes arrive in order, whatever they are cut into, and after a link was cut', async () => {
  const pair = new Pair();
  const sent = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  for (let at = 0; at < sent.length; at += 7777) pair.a.write(sent.subarray(at, at + 7777));
  await pair.run(5);
  pair.fabric.cut('a', 'b');
  const before = pair.received.length;
  await pair.run(500);
  assert.equal(pair.received.length, before);
  pair.fabric.mend('a', 'b');
  await pair.run(1000);
  assert.ok(pair.received.equals(sent), `${pair.received.length} of ${sent.length} bytes`);
});

test('whoever sends waits when the other end does not read', async () => {
  const pair = new Pair();
  pair.b.pause();
  let taken = 0;
  for (let i = 0; i < 40; i++) pair.a.write(Buffer.alloc(10_000, i), () => taken++);
  await pair.run(2000);
  assert.ok(taken > 0 && taken < 40, `${taken} writes taken`);
  pair.b.resume();
  await pair.run(6000);
  assert.equal(taken, 40);
  assert.equal(pair.received.length, 400_000);
});

test('a reset is heard of at both ends, a broken end only when it is written to', async () => {
  const both = new Pair();
  both.a.reset();
  await both.run(50);
  assert.deepEqual(both.errors, ['a ECONNRESET', 'b ECONNRESET']);

  const half = new Pair();
  half.b.breakOff('ECONNRESET');
  await half.run(5000);
  assert.deepEqual(half.errors, ['b ECONNRESET']);
  half.a.write('x');
  await half.run(50);
  assert.deepEqual(half.errors, ['b ECONNRESET', 'a ECONNRESET']);
});

test('a machine without power says nothing; one that is there again does not know the connection', async () => {
  const pair = new Pair();
  pair.processes[1]!.end();
  pair.a.write('x');
  await pair.run(3000);
  assert.deepEqual(pair.errors, []);
  const other = new Pair();
  pair.fabric.accept(['http://b'], { machine: 'b', process: other.processes[1]!, accept: () => {} });
  await pair.run(500);
  assert.deepEqual(pair.errors, ['a ECONNRESET']);
});

test('an end in good order comes behind everything that was written', async () => {
  const pair = new Pair();
  let hasEnded = false;
  pair.b.on('end', () => {
    hasEnded = true;
  });
  pair.a.end('the last words');
  await pair.run(50);
  assert.equal(pair.received.toString(), 'the last words');
  assert.ok(hasEnded);
});
