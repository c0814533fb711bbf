/**
 * Power cuts at every operation of many random runs. After each, the log must open (repaired if its last write is
 * incomplete), hold everything that was acknowledged and nothing that was never saved, and go on from there.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfState, Entry, HardState } from '@etcd/api/raftpb';
import { Snapshot } from '@etcd/api/walpb';
import { SeededRandom } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk, SimulatedCrash } from '@etcd/testing';
import {
  createWal,
  EntryList,
  openWal,
  repairWal,
  validSnapshots,
  type Wal,
  WalError,
  type WalOptions,
  walExists,
} from './index.ts';
import { checkLogs } from './testing/check-logs.ts';

checkLogs();

const DIRECTORY = '/data/wal';
const METADATA = Buffer.from('08a1011002', 'hex');
const BATCHES = 25;
/** `WAL_CRASH_SEED` in the environment begins elsewhere, for longer hunts. */
const FIRST_SEED = Number(process.env['WAL_CRASH_SEED'] ?? 1);

/** What a log holds, as a map would say it. */
class Model {
  terms: number[] = [];
  sizes: number[] = [];
  state = { term: 0, vote: 0n, commit: 0 };
  snapshots: number[] = [0];

  get lastIndex(): number {
    return this.terms.length;
  }

  append(entry: Entry): void {
    this.terms.length = entry.index - 1;
    this.sizes.length = entry.index - 1;
    this.terms.push(entry.term);
    this.sizes.push(entry.data.length);
  }

  copy(): Model {
    const copy = new Model();
    copy.terms = [...this.terms];
    copy.sizes = [...this.sizes];
    copy.state = { ...this.state };
    copy.snapshots = [...this.snapshots];
    return copy;
  }

  /** Whether log and vote are the same; the commit index may lag behind. */
  matches(other: Model): boolean {
    const sameVote = this.state.term === other.state.term && this.state.vote === other.state.vote;
    return sameVote && this.terms.join() === other.terms.join() && this.sizes.join() === other.sizes.join();
  }
}

interface Batch {
  readonly state: HardState | null;
  readonly entries: readonly Entry[];
}

/** Content depends on index, term and size alone; a third of all are full of zeros, like sectors never written. */
function dataOf(term: number, index: number, sizeBytes: number): Uint8Array {
  if ((index + term) % 3 === 0) return new Uint8Array(sizeBytes);
  return new Uint8Array(sizeBytes).map((_, i) => (i * 7 + index * 13 + term) & 0xff);
}

/** One member's life until the power is cut. */
class Run {
  readonly random: SeededRandom;
  readonly disk: SimDisk;
  readonly #pending: (() => void)[] = [];
  /** Acknowledged. */
  readonly model = new Model();
  /** States that an interrupted save may leave, the acknowledged one first. */
  possible: Model[] = [this.model];
  attemptedSnapshot = 0;
  created = false;
  #wal: Wal | null = null;

  constructor(seed: number, cutAt: number) {
    this.random = new SeededRandom(seed);
    this.disk = new SimDisk({
      onOperation: ({ sequence, kind, path }: DiskOperation) => {
        if (sequence === cutAt) throw new SimulatedCrash(`${kind} ${path}`);
      },
      schedule: (_operation, complete) => this.#pending.push(complete),
    });
  }

  /** Runs to the end, or to the cut. */
  run(): void {
    try {
      this.disk.makeDirectory('/data', 0o700);
      this.disk.syncDirectory('/');
      this.#wal = createWal(walOptions(this.disk), METADATA);
      this.created = true;
      for (let i = 0; i < BATCHES; i++) this.#step();
      this.#wal.close();
      this.#settle();
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
    }
  }

  #step(): void {
    const draw = this.random.below(10);
    if (draw === 0 && this.model.lastIndex > 3) return this.#snapshot();
    this.#save(this.#draw());
    if (draw < 4) this.#settle();
  }

  #draw(): Batch {
    const { random, model } = this;
    const entries: Entry[] = [];
    const newTerm = random.chance(0.2);
    const term = Math.max(1, model.state.term + (newTerm ? 1 : 0));
    const overwrite = newTerm && random.chance(0.6) ? random.below(4) : 0;
    const from = Math.max(model.state.commit, model.lastIndex - overwrite) + 1;
    const count = random.chance(0.25) ? 0 : 1 + random.below(random.pick([2, 2, 8]));
    for (let i = 0; i < count; i++) {
      const sizeBytes = random.below(random.pick([1, 40, 300, 1500, 3000]));
      entries.push(new Entry({ term, index: from + i, data: dataOf(term, from + i, sizeBytes) }));
    }
    if (random.chance(0.2)) return { state: null, entries: newTerm ? [] : entries };
    const vote = newTerm ? BigInt(random.below(3)) : model.state.vote;
    const commit =
      model.state.commit + random.below(Math.min(from, model.lastIndex + 1) - model.state.commit);
    return { state: new HardState({ term, vote, commit }), entries };
  }

  #save(batch: Batch): void {
    this.possible = outcomes(this.model, batch);
    const wal = this.#wal!;
    if (this.random.chance(0.5)) {
      wal.save(batch.state, batch.entries);
    } else {
      let isDone = !wal.saveThen(batch.state, batch.entries, (error) => {
        assert.equal(error, null);
        isDone = true;
      });
      while (!isDone) this.#completeOne();
    }
    for (const entry of batch.entries) this.model.append(entry);
    if (batch.state !== null) {
      const { term, vote, commit } = batch.state;
      this.model.state = { term, vote, commit };
    }
    this.possible = [this.model];
  }

  #snapshot(): void {
    const index = this.model.state.commit;
    if (index <= this.model.snapshots.at(-1)!) return;
    const term = this.model.terms[index - 1]!;
    this.attemptedSnapshot = index;
    this.#wal!.saveSnapshot(new Snapshot({ index, term, confState: new ConfState({ voters: [1n] }) }));
    this.model.snapshots.push(index);
  }

  #completeOne(): void {
    assert.ok(this.#pending.length > 0, 'nothing under way, and yet not done');
    this.#pending.splice(this.random.below(this.#pending.length), 1)[0]!();
  }

  #settle(): void {
    while (this.#pending.length > 0) this.#completeOne();
  }
}

function walOptions(disk: SimDisk): WalOptions {
  return { disk, directory: DIRECTORY, clock: new SimClock(), segmentSizeBytes: 12_000 };
}

/** Every state that a crash during the save of `batch` may leave: its records come in order, or are missing from one on. */
function outcomes(before: Model, batch: Batch): Model[] {
  const states = [before];
  for (const entry of batch.entries) {
    const next = states[states.length - 1]!.copy();
    next.append(entry);
    states.push(next);
  }
  if (batch.state !== null) {
    const last = states[states.length - 1]!.copy();
    last.state = batch.state;
    states.push(last);
  }
  return states;
}

interface Recovered {
  readonly wal: Wal;
  readonly model: Model;
  readonly wasTorn: boolean;
}

function recover(disk: SimDisk, options: { readonly fromSnapshot: boolean }): Recovered {
  let wasTorn = false;
  for (;;) {
    const snapshots = validSnapshots(walOptions(disk));
    const position = options.fromSnapshot ? snapshots.at(-1)! : snapshots[0]!;
    const list = new EntryList();
    try {
      const { wal, metadata, hardState } = openWal(walOptions(disk), position, list);
      assert.deepEqual(Buffer.from(metadata), METADATA);
      const model = new Model();
      for (const entry of list.entries) {
        const expected = Buffer.from(dataOf(entry.term, entry.index, entry.data.length));
        assert.deepEqual(Buffer.from(entry.data), expected);
      }
      model.terms = new Array<number>(position.index).fill(0);
      model.sizes = new Array<number>(position.index).fill(0);
      for (const entry of list.entries) model.append(entry);
      model.state = hardState;
      model.snapshots = snapshots.map((snapshot) => snapshot.index);
      return { wal, model, wasTorn };
    } catch (error) {
      if (!(error instanceof WalError) || error.code !== 'torn' || wasTorn) throw error;
      wasTorn = true;
      const repair = repairWal(walOptions(disk))!;
      assert.ok(disk.stat(repair.brokenPath) !== null, 'what is dropped is kept in a copy');
    }
  }
}

function checkRecovered(run: Run, disk: SimDisk): boolean {
  if (!walExists(disk, DIRECTORY)) {
    assert.equal(run.created, false, 'a created log is there');
    createWal(walOptions(disk), METADATA).close();
    return false;
  }
  const { wal, model, wasTorn } = recover(disk, { fromSnapshot: false });
  const { term, vote, commit } = model.state;
  const found = `found ${model.terms.join()} ${term} ${vote}, acknowledged ${run.model.terms.join()} ${run.model.state.term} ${run.model.state.vote}`;
  assert.ok(
    run.possible.some((possible) => possible.matches(model)),
    found,
  );
  assert.ok(term >= run.model.state.term, 'the term goes back');
  assert.ok(commit <= Math.max(...run.possible.map((possible) => possible.state.commit)));
  const acknowledged = run.model.snapshots;
  const attempted = run.attemptedSnapshot > acknowledged.at(-1)! ? [run.attemptedSnapshot] : [];
  assert.deepEqual(model.snapshots, [...acknowledged, ...attempted].slice(0, model.snapshots.length));
  assert.ok(model.snapshots.length >= acknowledged.length);

  const index = model.lastIndex + 1;
  const next = Math.max(1, term, ...model.terms.slice(-1));
  wal.save(new HardState({ term: next, vote: next === term ? vote : 0n, commit }), [
    new Entry({ term: next, index, data: dataOf(next, index, 700) }),
  ]);
  wal.close();
  const again = recover(disk, { fromSnapshot: true });
  assert.equal(again.wasTorn, false);
  assert.equal(again.wal.lastIndex, index);
  const from = again.model.snapshots.at(-1)!;
  assert.deepEqual(again.model.terms.slice(from), [...model.terms, next].slice(from));
  again.wal.close();
  return wasTorn;
}

test('S22 power cuts at every operation lose nothing that was acknowledged', () => {
  let cuts = 0;
  let torn = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 12; seed++) {
    const whole = new Run(seed, -1);
    whole.run();
    for (let cutAt = 0; cutAt < whole.disk.operationCount; cutAt++) {
      const run = new Run(seed, cutAt);
      run.run();
      try {
        const after = run.disk.afterCrash(new SeededRandom(seed * 1000 + cutAt), {});
        if (checkRecovered(run, after)) torn++;
      } catch (error) {
        throw new Error(`seed ${seed}, cut at operation ${cutAt}`, { cause: error });
      }
      cuts++;
    }
  }
  assert.ok(cuts > 700, `${cuts} cuts`);
  assert.ok(torn > cuts / 50, `${torn} of ${cuts} cuts left a torn write`);
});

test('S22 a second cut, during recovery, loses nothing either', () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 120; seed++) {
    const random = new SeededRandom(seed);
    const whole = new Run(seed, -1);
    whole.run();
    const run = new Run(seed, random.below(whole.disk.operationCount));
    run.run();
    let disk = run.disk.afterCrash(random, {});
    for (let round = 0; round < 3; round++) {
      const cut = random.below(30);
      disk = disk.afterCrash(random, {
        onOperation: ({ sequence }) => {
          if (sequence === cut) throw new SimulatedCrash('during recovery');
        },
      });
      try {
        if (walExists(disk, DIRECTORY)) recover(disk, { fromSnapshot: false }).wal.close();
      } catch (error) {
        if (!(error instanceof SimulatedCrash)) throw new Error(`seed ${seed}`, { cause: error });
      }
      disk = disk.afterCrash(random, {});
    }
    try {
      checkRecovered(run, disk);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

test('S22 what a log that was reopened after a kill has told is durable, whenever the power is cut', () => {
  let unsynced = 0;
  for (let seed = FIRST_SEED; seed < FIRST_SEED + 8; seed++) {
    const whole = new Run(seed, -1);
    whole.run();
    for (let cutAt = 0; cutAt < whole.disk.operationCount; cutAt++) {
      const random = new SeededRandom(seed * 1000 + cutAt);
      const run = new Run(seed, cutAt);
      run.run();
      const killed = run.disk.afterKill({});
      if (!walExists(killed, DIRECTORY)) continue;
      try {
        if (reopenAndCut(killed, random, run.model)) unsynced++;
      } catch (error) {
        throw new Error(`seed ${seed}, killed at operation ${cutAt}`, { cause: error });
      }
    }
  }
  assert.ok(unsynced > 50, `only ${unsynced} kills left more than was acknowledged`);
});

/** Returns whether the log was found to hold more than had been acknowledged. */
function reopenAndCut(killed: SimDisk, random: SeededRandom, acknowledged: Model): boolean {
  const { wal, model: seen } = recover(killed, { fromSnapshot: false });
  const possible = [seen];
  if (random.chance(0.5)) {
    const index = seen.lastIndex + 1;
    const term = Math.max(1, seen.state.term, ...seen.terms.slice(-1));
    const entry = new Entry({ term, index, data: dataOf(term, index, 100 + random.below(5000)) });
    const more = seen.copy();
    more.append(entry);
    possible.push(more);
    // Written, but not synced when the power goes.
    wal.saveThen(null, [entry], () => {});
  }
  const { wal: again, model } = recover(killed.afterCrash(random, {}), { fromSnapshot: false });
  again.close();
  assert.ok(
    possible.some((candidate) => candidate.matches(model)),
    `told of ${seen.terms.join()} ${seen.state.term}, found ${model.terms.join()} ${model.state.term}`,
  );
  return !acknowledged.matches(seen);
}

test('S22 a power cut while a snapshot from the leader is recorded leaves a log that can be repaired, wherever it stands', () => {
  let torn = 0;
  for (let sizeBytes = 0; sizeBytes < 520; sizeBytes += 8) {
    for (let draw = 0; draw < 12; draw++) {
      const disk = new SimDisk({ schedule: () => {} });
      disk.makeDirectory('/data', 0o700);
      disk.syncDirectory('/');
      const wal = createWal(walOptions(disk), METADATA);
      wal.save(new HardState({ term: 1, vote: 1n, commit: 0 }), [
        new Entry({ term: 1, index: 1, data: dataOf(1, 1, sizeBytes) }),
      ]);
      // Remembered only: it goes with the batch.
      if (draw % 2 === 0) wal.save(new HardState({ term: 1, vote: 1n, commit: 1 }), []);
      const confState = new ConfState({ voters: [2n ** 63n, 2n ** 62n, 2n ** 61n] });
      const snapshot = new Snapshot({ index: 50, term: 1, confState });
      wal.saveReceivedSnapshotThen(snapshot, new HardState({ term: 1, vote: 1n, commit: 50 }), () => {});
      const after = disk.afterCrash(new SeededRandom(sizeBytes * 100 + draw), {});
      const { wal: again, model, wasTorn } = recover(after, { fromSnapshot: false });
      again.close();
      if (wasTorn) torn++;
      assert.equal(model.lastIndex, 1, `${sizeBytes} bytes before, draw ${draw}`);
    }
  }
  assert.ok(torn > 10, `${torn} torn`);
});
