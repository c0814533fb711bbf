/** The tests of a room, as they are run against a mutant: those that run through its place, the likeliest to fail and the quickest first. */
import { readFileSync } from 'node:fs';
import { coverageOf, isCovered, type TestCoverage } from './coverage.ts';
import type { Mutant } from './find-mutants.ts';
import { plantedOf } from './plant.ts';
import type { Room } from './rooms.ts';
import { runTests, type TestLimits, type TestOutcome } from './run-tests.ts';

/** Of one run: so many times what its files took one by one, without a mutant, and so much more. */
const CPU_FACTOR = 2;
const ELAPSED_FACTOR = 20;
const MORE_CPU_MS = 10_000;
const MORE_ELAPSED_MS = 60_000;

/** These measure the process that they run in, or change it, or look at what each test in it has left. */
const ALONE =
  /setFlagsFromString|memoryUsage|cpuUsage|process\.exit\(|process\.env\[[^\]]*\] *=|\bcheck(?:Databases|Logs)\(/;

/** What a test file of another room may take. */
const FAR_ELAPSED_MS = 5000;

type Timed = Pick<TestCoverage, 'test' | 'elapsedMs'>;

export class RoomTests {
  readonly #root: string;
  readonly #near: readonly TestCoverage[];
  /** Few mutants come to them, so nobody has looked what they run through. */
  readonly #far: readonly Timed[];

  /** Runs each test file once, unless it is known what it runs through. */
  constructor({ sources, tests, moreTests }: Room, root: string) {
    this.#root = root;
    this.#near = tests
      .map((test) => coverageOf(test, sources, root))
      .sort((a, b) => a.elapsedMs - b.elapsedMs || (a.test < b.test ? -1 : 1));
    this.#far = moreTests.map((test) => ({ test, elapsedMs: FAR_ELAPSED_MS }));
  }

  async find(mutant: Mutant): Promise<TestOutcome> {
    const planted = plantedOf(mutant, this.#root);
    for (const runs of this.#runsFor(mutant)) {
      const files = runs.map(({ test }) => test);
      const outcome = await runTests(files, planted, limitsOf(runs), this.#root);
      if (outcome !== 'passed') return outcome;
    }
    return 'passed';
  }

  /** All that share a process pass together, without a mutant. */
  async check(): Promise<void> {
    for (const runs of [...this.#processes(this.#near), ...this.#processes(this.#far)]) {
      if (runs.length === 1) continue;
      const files = runs.map(({ test }) => test);
      const outcome = await runTests(files, null, limitsOf(runs), this.#root);
      if (outcome !== 'passed') throw new Error(`${files.join(' ')}: ${outcome} without a mutant`);
    }
  }

  #runsFor({ file, start }: Mutant): Timed[][] {
    const near = this.#near.filter(({ stretches }) => isCovered(stretches[file], start));
    const own = near.filter(({ test }) => test === file.replace(/\.ts$/, '.test.ts'));
    const others = near.filter((test) => !own.includes(test));
    return [own, others, this.#far].flatMap((tests) => this.#processes(tests));
  }

  #processes(tests: readonly Timed[]): Timed[][] {
    const isAlone = ({ test }: Timed): boolean => ALONE.test(readFileSync(this.#root + test, 'utf8'));
    const shared = tests.filter((test) => !isAlone(test));
    return [shared, ...tests.filter(isAlone).map((test) => [test])].filter(({ length }) => length > 0);
  }
}

function limitsOf(runs: readonly Timed[]): TestLimits {
  const elapsedMs = runs.reduce((total, run) => total + run.elapsedMs, 0);
  return {
    cpuMs: MORE_CPU_MS + CPU_FACTOR * elapsedMs,
    elapsedMs: MORE_ELAPSED_MS + ELAPSED_FACTOR * elapsedMs,
  };
}
