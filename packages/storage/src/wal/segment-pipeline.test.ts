import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DiskError, SILENT_LOGGER } from '@etcd/base';
import { type DiskOperation, SimDisk } from '@etcd/testing';
import { type PreparedSegment, SegmentPipeline } from './segment-pipeline.ts';

const DIRECTORY = '/wal';
const KIB = 1024;
const SMALL = 16 * KIB;

/** A pipeline on a disk whose writes complete when the test says so. */
class World {
  readonly warnings: unknown[] = [];
  readonly operations: DiskOperation[] = [];
  /** The kind of operations that fail, or null. */
  broken: DiskOperation['kind'] | null = null;
  readonly #pending: (() => void)[] = [];
  readonly disk = new SimDisk({
    onOperation: (operation) => {
      this.operations.push(operation);
      if (operation.kind === this.broken)
        throw new DiskError('EIO', operation.path, `EIO: ${operation.kind}`);
    },
    schedule: (_operation, complete) => this.#pending.push(complete),
  });
  readonly pipeline: SegmentPipeline;

  constructor(segmentSizeBytes = 4096 * KIB, zeroFill = true) {
    this.disk.makeDirectory(DIRECTORY, 0o700);
    const warn = (_message: string, fields?: object): number => this.warnings.push(fields);
    this.pipeline = new SegmentPipeline({
      disk: this.disk,
      directory: DIRECTORY,
      logger: { ...SILENT_LOGGER, warn },
      segmentSizeBytes,
      zeroFill,
    });
  }

  /** Whether zeros are on their way. */
  get isBusy(): boolean {
    return this.#pending.length > 0;
  }

  /** Completes the write that is under way: the bytes, then their sync. */
  complete(): void {
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) next();
  }

  /** Writes batches that come to `total` bytes, and completes what they set going. Returns the zeros written meanwhile. */
  log(total: number, batchBytes: number): number {
    const before = this.zeros;
    for (let left = total; left > 0; left -= batchBytes) {
      this.pipeline.advance(Math.min(left, batchBytes));
      this.complete();
    }
    return this.zeros - before;
  }

  get zeros(): number {
    return this.operations.reduce((sum, { kind, bytes }) => sum + (kind === 'write' ? bytes : 0), 0);
  }

  get names(): string[] {
    return this.disk.readDirectory(DIRECTORY);
  }

  checkSegment({ file, path }: PreparedSegment, sizeBytes: number): void {
    const { mode, sizeBytes: size } = this.disk.stat(path)!;
    assert.deepEqual([mode, size], [0o600, sizeBytes]);
    const bytes = new Uint8Array(sizeBytes);
    file.read(bytes, 0, sizeBytes, 0);
    assert.ok(Buffer.from(bytes.buffer).equals(Buffer.alloc(sizeBytes)));
    const other = this.disk.openFile(path, { access: 'readwrite' });
    assert.equal(other.tryLock('ofd'), false, 'it is locked');
    other.close();
  }

  end(): void {
    this.pipeline.close();
    this.complete();
    assert.deepEqual([this.names, this.disk.openPaths()], [[], []]);
  }
}

test('zeros come at the pace of the log, a quarter faster, a chunk at a time, until the segment has its length', () => {
  const world = new World(2048 * KIB);
  const chunk = 256 * KIB;
  const perChunk = chunk / 1.25;
  assert.equal(world.log(perChunk - 1, 1000), 0);
  assert.deepEqual(world.names, []);
  assert.equal(world.log(1, 1), chunk);
  assert.deepEqual(world.names, ['0.tmp']);
  assert.equal(world.log(perChunk - 1, 1000), 0);
  assert.equal(world.log(1, 1), chunk);
  assert.equal(world.log(6 * perChunk, SMALL), 6 * chunk, 'the whole segment');
  assert.equal(world.log(20 * perChunk, SMALL), 0, 'there is no more to do');
  const taken = world.pipeline.take();
  world.checkSegment(taken, 2048 * KIB);
  world.disk.rename(taken.path, `${DIRECTORY}/x`);
  assert.equal(world.log(2 * perChunk, SMALL), 2 * chunk, 'the next one begins');
  assert.deepEqual(world.names, ['0.tmp', 'x']);
});

test('a segment whose length is no multiple of a chunk gets zeros to its end, not beyond', () => {
  const world = new World(700 * KIB);
  // A quarter of the segment is less than a chunk.
  const zeros = world.log(2000 * KIB, SMALL);
  assert.equal(zeros, 700 * KIB);
  assert.equal(Math.max(...world.operations.map(({ bytes }) => bytes)), 175 * KIB);
  const taken = world.pipeline.take();
  world.checkSegment(taken, 700 * KIB);
  taken.file.close();
  const odd = new World(1100 * KIB);
  assert.equal(odd.log(5000 * KIB, SMALL), 1100 * KIB);
  assert.deepEqual(
    odd.operations.flatMap(({ kind, bytes }) => (kind === 'write' ? [bytes / KIB] : [])),
    [256, 256, 256, 256, 76],
  );
  odd.end();
});

test('large batches have a segment reserved, once, and no zeros; one byte less is a small batch', () => {
  const world = new World();
  world.pipeline.advance(SMALL + 1);
  assert.deepEqual([world.names, world.zeros], [['0.tmp'], 0]);
  assert.equal(world.log(50_000 * KIB, SMALL + 1), 0);
  const opens = (): number => world.operations.filter(({ kind }) => kind === 'open').length;
  assert.equal(opens(), 1);
  const small = new World();
  small.pipeline.advance(SMALL);
  assert.deepEqual(small.names, []);
  small.end();
  world.pipeline.take().file.close();
  world.disk.remove(`${DIRECTORY}/0.tmp`);
  world.end();
});

test('where zeros gain nothing a segment is reserved, and that is all', () => {
  const world = new World(4096 * KIB, false);
  assert.equal(world.log(1000 * KIB, SMALL), 0);
  assert.deepEqual(world.names, ['0.tmp']);
  const count = world.operations.length;
  world.log(10_000 * KIB, SMALL);
  assert.equal(world.operations.length, count);
  const taken = world.pipeline.take();
  world.checkSegment(taken, 4096 * KIB);
  taken.file.close();
  world.disk.remove(taken.path);
  world.end();
});

test('one write of zeros is under way at a time, and what is taken meanwhile is another file', () => {
  const world = new World();
  for (let i = 0; i < 100; i++) world.pipeline.advance(SMALL);
  assert.equal(world.zeros, 256 * KIB);
  assert.ok(world.isBusy);
  const first = world.pipeline.take();
  assert.equal(first.path, `${DIRECTORY}/1.tmp`);
  world.checkSegment(first, 4096 * KIB);
  assert.deepEqual(world.names, ['0.tmp', '1.tmp']);
  assert.deepEqual(world.disk.openPaths(), [`${DIRECTORY}/0.tmp`, first.path]);
  world.complete();
  assert.deepEqual(world.names, ['1.tmp'], 'the one that was given up is gone');
  assert.deepEqual(world.disk.openPaths(), [first.path]);
  world.disk.rename(first.path, `${DIRECTORY}/x`);
  assert.ok(world.log(210 * KIB, SMALL) > 0);
  assert.equal(world.pipeline.take().path, `${DIRECTORY}/0.tmp`);
});

test('a second segment that is needed while zeros are still on their way is made beside both', () => {
  const world = new World();
  for (let i = 0; i < 20; i++) world.pipeline.advance(SMALL);
  const first = world.pipeline.take();
  world.disk.rename(first.path, `${DIRECTORY}/x`);
  // Nothing is prepared while a write of zeros is under way.
  for (let i = 0; i < 20; i++) world.pipeline.advance(SMALL);
  for (let i = 0; i < 20; i++) world.pipeline.advance(SMALL + 1);
  assert.deepEqual(world.names, ['0.tmp', 'x']);
  const second = world.pipeline.take();
  assert.equal(second.path, `${DIRECTORY}/1.tmp`);
  world.complete();
  assert.deepEqual(world.names, ['1.tmp', 'x']);
});

test('closing removes what was prepared, at once or when its write is over, and does nothing more', () => {
  for (const isBusy of [false, true]) {
    const world = new World();
    for (let i = 0; i < 20; i++) {
      world.pipeline.advance(SMALL);
      if (!isBusy) world.complete();
    }
    world.pipeline.close();
    assert.deepEqual(world.names, isBusy ? ['0.tmp'] : []);
    assert.deepEqual(world.disk.openPaths().length, isBusy ? 1 : 0);
    for (let i = 0; i < 50; i++) world.pipeline.advance(SMALL);
    world.pipeline.advance(SMALL + 1);
    world.end();
    assert.throws(() => world.pipeline.take(), { name: 'InvariantError' });
  }
  const given = new World();
  for (let i = 0; i < 20; i++) given.pipeline.advance(SMALL);
  given.pipeline.take().file.close();
  given.disk.remove(`${DIRECTORY}/1.tmp`);
  given.end();
});

test('what the disk refuses while a segment is prepared is a warning; who needs one tries again, and is told', () => {
  for (const kind of ['open', 'truncate', 'allocate'] as const) {
    for (const batchBytes of [SMALL, SMALL + 1]) {
      const world = new World();
      world.broken = kind;
      world.log(5000 * KIB, batchBytes);
      assert.deepEqual(world.warnings, [{ error: `EIO: ${kind}` }], 'once');
      assert.throws(() => world.pipeline.take(), { code: 'EIO' });
      assert.deepEqual(world.disk.openPaths(), []);
      world.broken = null;
      const taken = world.pipeline.take();
      world.checkSegment(taken, 4096 * KIB);
      taken.file.close();
      world.disk.remove(taken.path);
      world.end();
    }
  }
});

test('zeros that can not be written or synced are a warning, and the file is dropped', () => {
  for (const kind of ['write', 'sync'] as const) {
    const world = new World();
    world.broken = kind;
    world.log(5000 * KIB, SMALL);
    assert.deepEqual(world.warnings, [{ error: `EIO: ${kind}` }]);
    assert.deepEqual([world.names, world.disk.openPaths()], [[], []]);
    world.broken = null;
    const taken = world.pipeline.take();
    world.checkSegment(taken, 4096 * KIB);
    world.disk.rename(taken.path, `${DIRECTORY}/x`);
    assert.ok(world.log(1000 * KIB, SMALL) > 0, 'the next one is prepared again');
  }
});

test('a file that cannot be removed is left to the next start', () => {
  const world = new World();
  world.log(300 * KIB, SMALL);
  world.broken = 'remove';
  world.pipeline.close();
  assert.deepEqual([world.names, world.disk.openPaths()], [['0.tmp'], []]);
});

test('what a crash has left under the name of a segment in preparation is cleared; what another process holds is not taken', () => {
  const world = new World();
  const left = world.disk.openFile(`${DIRECTORY}/0.tmp`, { access: 'readwrite', create: true });
  left.write(Buffer.from('old'), 0, 3, 100);
  left.tryLock('ofd');
  assert.throws(() => world.pipeline.take(), { code: 'EBUSY' });
  assert.deepEqual(world.disk.openPaths(), [`${DIRECTORY}/0.tmp`]);
  left.close();
  world.checkSegment(world.pipeline.take(), 4096 * KIB);
});
