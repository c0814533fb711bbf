import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Duplex as NodeDuplex } from 'node:stream';
import { test } from 'node:test';
import { socketDuplex } from './socket-duplex.ts';

type Done = (error?: Error | null) => void;

/** A socket that keeps what it is given, and has taken it when it is told so. */
class FakeSocket extends NodeDuplex {
  readonly encrypted: boolean;
  /** The parts of each write. */
  readonly writes: Buffer[][] = [];
  #done: Done | null = null;

  constructor(encrypted: boolean) {
    super();
    this.encrypted = encrypted;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.writes.push([chunk]);
    this.#done = done;
  }

  override _writev(chunks: { chunk: Buffer }[], done: Done): void {
    this.writes.push(chunks.map(({ chunk }) => chunk));
    this.#done = done;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.writes.flat());
  }

  /** Takes writes until there is none. */
  async takeAll(): Promise<void> {
    while (this.#done !== null) {
      const done = this.#done;
      this.#done = null;
      done();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

class Receiver {
  drains = 0;
  closes = 0;
  onData(): void {}
  onEnd(): void {}
  onDrain(): void {
    this.drains++;
  }
  onClose(): void {
    this.closes++;
  }
}

function wrap(encrypted: boolean) {
  const socket = new FakeSocket(encrypted);
  const duplex = socketDuplex(socket);
  const receiver = new Receiver();
  duplex.open(receiver);
  return { socket, duplex, receiver };
}

const PARTS = [30, 100_000, 9, 100_000, 5, 6, 7, 50_000].map((length, i) => Buffer.alloc(length, i + 1));
const ALL = Buffer.concat(PARTS);

test('a plain socket gets all parts in one write', async () => {
  const { socket, duplex, receiver } = wrap(false);
  duplex.write(PARTS);
  assert.equal(duplex.pendingBytes, ALL.length);
  await socket.takeAll();
  assert.deepEqual([socket.writes.length, duplex.pendingBytes, receiver.drains], [1, 0, 1]);
  assert.ok(socket.bytes.equals(ALL));
});

test('TLS gets large parts one at a time, small ones together, and is drained when it has taken the last', async () => {
  const { socket, duplex, receiver } = wrap(true);
  duplex.write(PARTS);
  assert.equal(duplex.pendingBytes, ALL.length);
  await socket.takeAll();
  const isLarge = (part: Buffer): boolean => part.length > 16_384;
  for (const parts of socket.writes) assert.ok(parts.length === 1 || !parts.some(isLarge));
  assert.ok(socket.writes.some((parts) => parts.length > 1));
  assert.deepEqual([duplex.pendingBytes, receiver.drains], [0, 1]);
  assert.ok(socket.bytes.equals(ALL));
});

test('TLS sends what is pending before it ends, and nothing that comes later', async () => {
  const { socket, duplex } = wrap(true);
  duplex.write(PARTS);
  duplex.end();
  duplex.write([Buffer.from('later')]);
  await socket.takeAll();
  assert.ok(socket.writableEnded);
  assert.ok(socket.bytes.equals(ALL));
});

test('TLS that is given up forgets what is pending', async () => {
  const { socket, duplex, receiver } = wrap(true);
  duplex.write(PARTS);
  duplex.destroy();
  await once(socket, 'close');
  await socket.takeAll();
  assert.deepEqual(
    [duplex.pendingBytes - socket.writableLength, receiver.closes, receiver.drains],
    [0, 1, 0],
  );
  assert.equal(socket.writes.length, 1);
});
