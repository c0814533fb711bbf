import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { type DiskOperation, SimClock, SimDisk, SimulatedCrash } from '@etcd/testing';
import { Database } from './index.ts';
import { checkDatabases } from './testing/check-databases.ts';

checkDatabases();

type Contents = ReadonlyMap<string, string>;

const NAME = Buffer.from('bucket');
/** The file is made shorter from the sixth on. */
const ROUNDS = 10;

interface Scenario {
  readonly seed: number;
  readonly freelist: 'stored' | 'rebuilt';
  /** Commits in the background, the next transaction begun before the last is durable. */
  readonly background: boolean;
}

/** What a run told the outside before the power went. */
interface Outcome {
  /** States by transaction number; the first is the empty database. */
  readonly states: Contents[];
  /** The last state that a commit reported as durable, -1 before the database existed. */
  acknowledged: number;
}

function contentsOf(database: Database): Contents {
  const read = database.beginRead();
  const contents = new Map<string, string>();
  const cursor = read.bucket(NAME)?.cursor();
  for (let on = cursor?.first(); on; on = cursor!.next()) {
    contents.set(Buffer.from(cursor!.key()).toString(), Buffer.from(cursor!.value()).toString('latin1'));
  }
  assert.deepEqual(
    [...database.check(read)].filter((finding) => finding !== null),
    [],
  );
  read.close();
  return contents;
}

/** A few transactions of different kinds; throws where the power is cut. */
function play(disk: SimDisk, pending: (() => void)[], scenario: Scenario, outcome: Outcome): void {
  const random = new SeededRandom(scenario.seed);
  const clock = new SimClock();
  const database = Database.open({ disk, path: '/db', clock, freelist: scenario.freelist, cacheBytes: 1 });
  outcome.acknowledged = 0;
  const settle = (turns: number): void => {
    for (; turns > 0; turns--) {
      clock.settle();
      pending.splice(random.below(Math.max(1, pending.length)), 1)[0]?.();
    }
    clock.settle();
  };
  const defragmentation = database.defragment();
  for (let round = 1; round <= ROUNDS; round++) {
    const write = database.beginWrite();
    const bucket = write.createBucketIfNotExists(NAME);
    const contents = new Map(outcome.states.at(-1)!);
    const shrinks = round === 5;
    for (let i = round > 6 ? random.below(4) : random.below(60); i > 0; i--) {
      const key = `key${random.below(40)}`;
      if (random.chance(shrinks ? 0.95 : 0.3)) {
        bucket.delete(Buffer.from(key));
        contents.delete(key);
      } else {
        const value = String(round).repeat(random.pick([1, 100, 1000, 20_000]));
        bucket.put(Buffer.from(key), Buffer.from(value));
        contents.set(key, value);
      }
    }
    if (round > 5) defragmentation.step(write, 8 * 4096);
    outcome.states.push(contents);
    if (scenario.background) {
      write.commitThen((error) => {
        assert.equal(error, null);
        outcome.acknowledged = round;
      });
      settle(random.below(8));
    } else {
      write.commit();
      outcome.acknowledged = round;
    }
  }
  while (pending.length > 0) settle(1);
  database.close();
}

function newDisk(cutAt: number, pending: (() => void)[]): SimDisk {
  return new SimDisk({
    onOperation: (operation: DiskOperation) => {
      if (operation.sequence === cutAt) throw new SimulatedCrash('cut');
    },
    schedule: (_operation, complete) => pending.push(complete),
  });
}

/** Opens what the crash left, and goes on writing to it. */
function assertRecovers(disk: SimDisk, scenario: Scenario, outcome: Outcome, hint: string): void {
  const database = Database.open({ disk, path: '/db', freelist: scenario.freelist });
  const contents = contentsOf(database);
  const state = outcome.states.findLastIndex(
    (candidate) =>
      candidate.size === contents.size && [...candidate].every(([key, value]) => contents.get(key) === value),
  );
  assert.ok(
    state >= outcome.acknowledged,
    `${hint}: state ${state}, but ${outcome.acknowledged} was acknowledged`,
  );
  for (let round = 0; round < 3; round++) {
    const write = database.beginWrite();
    write.createBucketIfNotExists(NAME).put(Buffer.from(`after${round}`), Buffer.alloc(9000));
    write.commit();
    assert.equal(contentsOf(database).size, contents.size + round + 1, hint);
  }
  database.close();
}

for (const freelist of ['stored', 'rebuilt'] as const) {
  for (const background of [false, true]) {
    const how = background ? 'in the background' : 'on the spot';
    test(`S22 S26 a crash at any write or sync leaves the last committed state: ${freelist} freelist, ${how}`, () => {
      const seeds = Number(process.env['SEEDS'] ?? 2);
      for (let seed = 1; seed <= seeds; seed++) {
        const scenario = { seed, freelist, background };
        const uncutPending: (() => void)[] = [];
        const uncut = newDisk(-1, uncutPending);
        const complete: Outcome = { states: [new Map()], acknowledged: -1 };
        play(uncut, uncutPending, scenario, complete);
        const operations = uncut.operationCount;
        assert.equal(complete.acknowledged, ROUNDS);
        for (let cutAt = 0; cutAt <= operations; cutAt++) {
          for (let draw = 0; draw < 2; draw++) {
            const hint = `seed ${seed}, cut at ${cutAt} of ${operations}, draw ${draw}`;
            const pending: (() => void)[] = [];
            const disk = newDisk(cutAt, pending);
            const outcome: Outcome = { states: [new Map()], acknowledged: -1 };
            try {
              play(disk, pending, scenario, outcome);
            } catch (error) {
              if (!(error instanceof SimulatedCrash)) throw new Error(hint, { cause: error });
            }
            try {
              assertRecovers(
                disk.afterCrash(new SeededRandom(seed * 1000 + cutAt * 7 + draw), {}),
                scenario,
                outcome,
                hint,
              );
            } catch (error) {
              throw new Error(hint, { cause: error });
            }
          }
        }
      }
    });
  }
}

for (const background of [false, true]) {
  const how = background ? 'in the background' : 'on the spot';
  test(`S22 S26 a database reopened after a kill stays whole when power is cut in its next commits: ${how}`, () => {
    const seeds = Number(process.env['SEEDS'] ?? 2);
    for (let seed = 1; seed <= seeds; seed++) {
      const scenario: Scenario = { seed, freelist: 'rebuilt', background };
      const pending: (() => void)[] = [];
      const uncut = newDisk(-1, pending);
      play(uncut, pending, scenario, { states: [new Map()], acknowledged: -1 });
      for (let killAt = 0; killAt <= uncut.operationCount; killAt++) {
        const hint = `seed ${seed}, killed at ${killAt}`;
        try {
          killReopenAndCut(scenario, killAt, new SeededRandom(seed * 1000 + killAt), hint);
        } catch (error) {
          throw new Error(hint, { cause: error });
        }
      }
    }
  });
}

/** What the second run found when it opened the file is the least that the third has to find. */
function killReopenAndCut(scenario: Scenario, killAt: number, random: SeededRandom, hint: string): void {
  const pending: (() => void)[] = [];
  const disk = newDisk(killAt, pending);
  try {
    play(disk, pending, scenario, { states: [new Map()], acknowledged: -1 });
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
  }
  // Power goes in the first commits of the second run: its first operations open and read.
  let operations = 1 + random.below(random.pick([8, 40]));
  const killed = disk.afterKill({
    onOperation: ({ kind }) => {
      if (kind !== 'read' && operations-- === 0) throw new SimulatedCrash('cut');
    },
  });
  const states: Contents[] = [];
  let acknowledged = -1;
  try {
    const database = Database.open({ disk: killed, path: '/db', freelist: scenario.freelist });
    states.push(contentsOf(database));
    acknowledged = 0;
    for (let round = 0; round < 4; round++) {
      const contents = new Map(states.at(-1)!);
      const write = database.beginWrite();
      const bucket = write.createBucketIfNotExists(NAME);
      for (const key of [...contents.keys()].filter(() => random.chance(0.5))) {
        bucket.put(Buffer.from(key), Buffer.from(`again ${round}`));
        contents.set(key, `again ${round}`);
      }
      states.push(contents);
      write.commit();
      acknowledged++;
    }
    killed.crash();
  } catch (error) {
    if (!(error instanceof SimulatedCrash)) throw error;
  }
  if (acknowledged < 0) return;
  assertRecovers(killed.afterCrash(random, {}), scenario, { states, acknowledged }, hint);
}
