/**
 * Which test files run through which places of a room's sources. Each file is run once, alone, with V8's coverage, and what it ran through is kept in `.cache`
 * until it or a source of the room changes.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A stretch of a source, `[start, end)`, and whether it ran. The shortest around a place counts. */
type Stretch = readonly [start: number, end: number, ran: 0 | 1];

export interface TestCoverage {
  readonly test: string;
  /** Of the whole file, with its start. */
  readonly elapsedMs: number;
  /** By source, below the root; no entry: not loaded. */
  readonly stretches: Readonly<Record<string, readonly Stretch[]>>;
}

interface V8Report {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly ranges: readonly {
        readonly startOffset: number;
        readonly endOffset: number;
        readonly count: number;
      }[];
    }[];
  }[];
}

const TIMEOUT_MS = 600_000;

export function coverageOf(test: string, sources: readonly string[], root: string): TestCoverage {
  const hash = createHash('sha256');
  for (const file of [test, ...sources]) hash.update(`${file}\n`).update(readFileSync(root + file));
  const folder = `${root}.cache/mutants`;
  const path = `${folder}/${hash.digest('hex').slice(0, 32)}.json`;
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as TestCoverage;
  const coverage = record(test, new Set(sources), root);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, JSON.stringify(coverage));
  return coverage;
}

function record(test: string, sources: ReadonlySet<string>, root: string): TestCoverage {
  const directory = mkdtempSync(join(tmpdir(), 'etcd-coverage-'));
  try {
    const env: NodeJS.ProcessEnv = { ...process.env, ETCD_VERIFY: 'all', NODE_V8_COVERAGE: directory };
    for (const name of ['NODE_TEST_CONTEXT', 'NODE_COMPILE_CACHE']) delete env[name];
    const beginMs = performance.now();
    const args = ['--test', '--test-isolation=none', '--test-reporter=tap', test];
    const { status, stdout } = spawnSync(process.execPath, args, {
      cwd: root,
      env,
      timeout: TIMEOUT_MS,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${test} fails without a mutant:\n${stdout}`);
    const elapsedMs = Math.round(performance.now() - beginMs);
    const stretches: Record<string, Stretch[]> = {};
    for (const name of readdirSync(directory)) addReport(join(directory, name), sources, root, stretches);
    return { test, elapsedMs, stretches };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** A process that the tests start has a report of its own. */
function addReport(
  path: string,
  sources: ReadonlySet<string>,
  root: string,
  stretches: Record<string, Stretch[]>,
): void {
  const { result } = JSON.parse(readFileSync(path, 'utf8')) as V8Report;
  for (const { url, functions } of result) {
    const file = url.split('?', 1)[0]!.replace(`file://${root}`, '');
    if (!sources.has(file)) continue;
    const known = (stretches[file] ??= []);
    for (const { ranges } of functions) {
      for (const { startOffset, endOffset, count } of ranges)
        known.push([startOffset, endOffset, count > 0 ? 1 : 0]);
    }
  }
}

export function isCovered(stretches: readonly Stretch[] | undefined, offset: number): boolean {
  let shortest = Number.POSITIVE_INFINITY;
  let ran = false;
  for (const [start, end, hasRun] of stretches ?? []) {
    if (offset < start || offset >= end || end - start > shortest) continue;
    ran = end - start === shortest ? ran || hasRun === 1 : hasRun === 1;
    shortest = end - start;
  }
  return ran;
}
