import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareBytes, latin1FromBytes, SeededRandom } from '@etcd/base';
import { SimClock, SimDisk } from '@etcd/testing';
import { type Bucket, Database, type DatabaseOptions, type Element, type WritableBucket } from './index.ts';
import { checkDatabases } from './testing/check-databases.ts';

checkDatabases();

/** What a bucket should hold: values by name, and nested buckets. */
class Model {
  readonly values = new Map<string, Buffer>();
  readonly buckets = new Map<string, Model>();
  sequence = 0n;

  copy(): Model {
    const copy = new Model();
    for (const [key, value] of this.values) copy.values.set(key, value);
    for (const [key, bucket] of this.buckets) copy.buckets.set(key, bucket.copy());
    copy.sequence = this.sequence;
    return copy;
  }
}

const bytes = (key: string): Buffer => Buffer.from(key, 'latin1');

function assertSame(bucket: Bucket, model: Model): void {
  const keys = [...model.values.keys(), ...model.buckets.keys()].sort((a, b) =>
    compareBytes(bytes(a), bytes(b)),
  );
  const cursor = bucket.cursor();
  const found: string[] = [];
  for (let on = cursor.first(); on; on = cursor.next()) {
    const key = Buffer.from(cursor.key()).toString('latin1');
    found.push(key);
    assert.equal(cursor.isBucket, model.buckets.has(key));
    if (!cursor.isBucket) assert.ok(model.values.get(key)!.equals(cursor.value()), 'value differs');
  }
  assert.deepEqual(found, keys);
  const backwards: string[] = [];
  for (let on = cursor.last(); on; on = cursor.previous())
    backwards.push(Buffer.from(cursor.key()).toString('latin1'));
  assert.deepEqual(backwards.reverse(), keys);
  assert.equal(bucket.sequence(), model.sequence);
  for (const [name, child] of model.buckets) assertSame(bucket.bucket(bytes(name))!, child);
}

interface Mix {
  /** Keys are drawn from so many. */
  readonly keys: number;
  readonly maxValueBytes: number;
  readonly operations: number;
  readonly maxDepth: number;
  readonly deleteShare: number;
}

function randomKey(random: SeededRandom, mix: Mix): string {
  const number = random.below(mix.keys);
  // Some keys are long, so that branch pages hold few of them or overflow.
  const long = number % 97 === 0 ? 'k'.repeat(number % 3000) : '';
  return `${String.fromCharCode(number & 0xff)}${number.toString(36)}${long}`;
}

function randomValue(random: SeededRandom, mix: Mix): Buffer {
  const scale = random.pick([0, 0.02, 0.02, 0.1, 1]);
  return Buffer.alloc(Math.floor(random.below(mix.maxValueBytes + 1) * scale), random.below(256));
}

function change(bucket: WritableBucket, model: Model, random: SeededRandom, mix: Mix, depth: number): void {
  const key = randomKey(random, mix);
  const name = bytes(key);
  const nested = [...model.buckets.keys()];
  const dice = random.below(100);
  if (nested.length > 0 && random.chance(0.4)) {
    const at = random.pick(nested);
    change(bucket.bucket(bytes(at))!, model.buckets.get(at)!, random, mix, depth + 1);
  } else if (dice < 2) {
    model.sequence = bucket.nextSequence();
  } else if (dice < 4 && depth < mix.maxDepth && !model.values.has(key)) {
    bucket.createBucketIfNotExists(name);
    if (!model.buckets.has(key)) model.buckets.set(key, new Model());
  } else if (dice === 4 && nested.length > 0) {
    const at = random.pick(nested);
    bucket.deleteBucket(bytes(at));
    model.buckets.delete(at);
  } else if (model.buckets.has(key)) {
    assert.throws(() => bucket.put(name, name), { code: 'incompatible-value' });
    assert.throws(() => bucket.delete(name), { code: 'incompatible-value' });
    assert.throws(() => bucket.createBucket(name), { code: 'bucket-exists' });
    assert.equal(bucket.get(name), null);
  } else if (random.chance(mix.deleteShare)) {
    assert.equal(bucket.delete(name), model.values.delete(key));
  } else {
    const value = randomValue(random, mix);
    if (random.chance(0.5)) bucket.put(name, value);
    else putLent(bucket, name, value, random.below(10));
    model.values.set(key, value);
    assert.ok(value.equals(bucket.get(name)!));
  }
}

/** Deletes the values of a stretch of keys, as a compaction does: whole leaves of them. */
function deleteStretch(bucket: WritableBucket, model: Model, random: SeededRandom): void {
  const keys = [...model.values.keys()].sort((a, b) => compareBytes(bytes(a), bytes(b)));
  const from = random.below(keys.length + 1);
  for (const key of keys.slice(from, from + random.below(keys.length + 1))) {
    assert.equal(bucket.delete(bytes(key)), model.values.delete(key));
  }
}

/** What a visitor is to be shown: the elements of a bucket, and of those in it. */
function* topLevels(bucket: Bucket, deeper: number): Generator<string, void, void> {
  const cursor = bucket.cursor();
  for (let on = cursor.first(); on; on = cursor.next()) {
    const key = cursor.key();
    yield `${latin1FromBytes(key)}=${cursor.isBucket ? '' : latin1FromBytes(cursor.value())}`;
    if (cursor.isBucket && deeper > 0) yield* topLevels(bucket.bucket(key)!, deeper - 1);
  }
}

const LENT_BYTES = 1 << 16;
/** Memory in which values are lent to the transaction that is open, the last one filled up to {@link lentUsed}. */
let lentMemory: Buffer[] = [];
let lentUsed = 0;

/** Puts the value from where it lies behind its key, with other things before. */
function putLent(bucket: WritableBucket, key: Buffer, value: Buffer, gap: number): void {
  const length = gap + key.length + value.length;
  let memory = lentMemory.at(-1);
  if (memory === undefined || lentUsed + length > memory.length) {
    memory = Buffer.alloc(Math.max(LENT_BYTES, length), 0xee);
    lentMemory.push(memory);
    lentUsed = 0;
  }
  const start = lentUsed + gap;
  key.copy(memory, start);
  value.copy(memory, start + key.length);
  bucket.putLent(key, memory, start, value.length);
  lentUsed += length;
}

/** The transaction that is open is about to end; when it has, its memory may be written over, as whoever calls the result does. */
function memoryOfTransaction(): () => void {
  const memories = lentMemory;
  lentMemory = [];
  return () => {
    for (const memory of memories) memory.fill(0xdb);
  };
}

function assertSound(database: Database): void {
  const read = database.beginRead();
  const visited: string[] = [];
  const note = ({ bytes, keyStart, keyEnd, valueStart, valueEnd, isBucket }: Element): void => {
    const value = isBucket ? '' : latin1FromBytes(bytes.subarray(valueStart, valueEnd));
    visited.push(`${latin1FromBytes(bytes.subarray(keyStart, keyEnd))}=${value}`);
  };
  const visitor = { rootElement: note, element: note };
  const findings = [...database.check(read, visitor)].filter((finding) => finding !== null);
  assert.deepEqual(findings, []);
  assert.deepEqual(visited, [...topLevels(read.root, 1)]);
  read.close();
}

/** Random transactions against the model, with reopening and readers that stay. */
function run(seed: number, options: Partial<DatabaseOptions>, mixes: readonly Mix[], rounds: number): void {
  const random = new SeededRandom(seed);
  const disk = new SimDisk();
  const open = (): Database =>
    Database.open({
      disk,
      path: '/db',
      freelist: random.pick(['stored', 'rebuilt'] as const),
      cacheBytes: random.pick([1, 1 << 20, 64 << 20]),
      ...options,
    });
  let database = open();
  let defragmentation = database.defragment();
  let model = new Model();
  let readers: { read: ReturnType<Database['beginRead']>; model: Model }[] = [];
  for (let round = 0; round < rounds; round++) {
    const mix = random.pick(mixes);
    const changed = model.copy();
    const write = database.beginWrite();
    write.root.fillPercent = random.pick([0.1, 0.5, 0.9, 1]);
    const operations = random.below(mix.operations);
    for (let i = 0; i < operations; i++) change(write.root, changed, random, mix, 0);
    if (random.chance(0.2)) deleteStretch(write.root, changed, random);
    assertSame(write.root, changed);
    if (random.chance(0.3)) {
      const { done } = defragmentation.step(write, random.below(1 << 19));
      if (done) defragmentation = database.defragment();
      assertSame(write.root, changed);
    }
    const reuseMemory = memoryOfTransaction();
    if (random.chance(0.1)) {
      write.rollback();
    } else {
      if (random.chance(0.2)) write.truncateTail();
      write.commit();
      model = changed;
    }
    reuseMemory();
    assertSound(database);
    if (random.chance(0.3)) readers.push({ read: database.beginRead(), model });
    for (const reader of readers) assertSame(reader.read.root, reader.model);
    readers = readers.filter(({ read }) => {
      if (random.chance(0.6)) return true;
      read.close();
      return false;
    });
    if (random.chance(0.2)) {
      for (const { read } of readers) read.close();
      readers = [];
      database.close();
      database = open();
      defragmentation = database.defragment();
      const read = database.beginRead();
      assertSame(read.root, model);
      read.close();
    }
  }
}

const SMALL: Mix = { keys: 40, maxValueBytes: 200, operations: 30, maxDepth: 3, deleteShare: 0.4 };
const MANY: Mix = { keys: 2000, maxValueBytes: 1000, operations: 600, maxDepth: 1, deleteShare: 0.3 };
const SHRINK: Mix = { keys: 2000, maxValueBytes: 100, operations: 1500, maxDepth: 1, deleteShare: 0.9 };
const BIG: Mix = { keys: 60, maxValueBytes: 300_000, operations: 20, maxDepth: 1, deleteShare: 0.4 };

for (const pageSizeBytes of [1024, 4096, 8192, 16384, 65536]) {
  test(`random transactions behave as a map of maps does, pages of ${pageSizeBytes}`, () => {
    const seeds = Number(process.env['SEEDS'] ?? 3);
    const first = Number(process.env['SEED'] ?? 1);
    for (let seed = first; seed < first + seeds; seed++) {
      try {
        run(seed, { pageSizeBytes }, [SMALL, MANY, SHRINK, BIG], 25);
      } catch (error) {
        throw new Error(`seed ${seed}, pages of ${pageSizeBytes}`, { cause: error });
      }
    }
  });
}

test('commits in the background, with the next transaction begun at once, behave as commits on the spot', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new SeededRandom(seed);
    const clock = new SimClock();
    const pending: (() => void)[] = [];
    const disk = new SimDisk({ schedule: (_operation, complete) => pending.push(complete) });
    const database = Database.open({
      disk,
      path: '/db',
      clock,
      freelist: random.pick(['stored', 'rebuilt'] as const),
    });
    const committed: Model[] = [new Model()];
    let model = committed[0]!;
    let durable = 0;
    const turn = (): void => {
      clock.settle();
      const next = pending.splice(random.below(Math.max(1, pending.length)), 1)[0];
      next?.();
    };
    let defragmentation = database.defragment();
    for (let round = 0; round < 40; round++) {
      const write = database.beginWrite();
      const changed = model.copy();
      for (let i = 0; i < 300; i++) {
        change(write.root, changed, random, MANY, 0);
        if (random.chance(0.02)) turn();
      }
      if (random.chance(0.2)) deleteStretch(write.root, changed, random);
      if (random.chance(0.3) && defragmentation.step(write, 1 << 17).done)
        defragmentation = database.defragment();
      if (random.chance(0.15)) {
        write.rollback();
        memoryOfTransaction()();
        continue;
      }
      model = changed;
      const number = committed.push(changed) - 1;
      const reuseMemory = memoryOfTransaction();
      write.commitThen((error) => {
        assert.equal(error, null);
        assert.equal(++durable, number);
        reuseMemory();
      });
      for (let i = random.below(4); i > 0; i--) turn();
      const read = database.beginRead();
      assertSame(read.root, committed[durable]!);
      read.close();
    }
    while (pending.length > 0) turn();
    clock.settle();
    while (pending.length > 0) turn();
    assert.equal(durable, committed.length - 1);
    assertSound(database);
    database.close();
  }
});
