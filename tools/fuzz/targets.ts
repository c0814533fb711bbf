/** What can be fuzzed: whatever packages have in a folder `testing`, and the inputs that were kept of each. */
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import type { FuzzTarget } from '@etcd/testing';

const ROOT = new URL('../..', import.meta.url).pathname;
const CORPUS = `${ROOT}tools/fuzz/corpus`;
/** Of one target: enough to begin with, not too much for a repository. */
const MAX_KEPT = 120;
const MAX_KEPT_BYTES = 24 * 1024;

export interface KeptInputs {
  /** Inputs that were taken badly once. */
  readonly regressions: readonly Uint8Array[];
  /** Inputs that make much of the code run. */
  readonly corpus: readonly Uint8Array[];
}

/** Files that have targets. */
export function targetFiles(): string[] {
  return globSync('packages/*/src/**/testing/fuzz-targets.ts', { cwd: ROOT }).sort();
}

export async function loadTargets(file: string): Promise<readonly FuzzTarget[]> {
  const module = (await import(ROOT + file)) as { FUZZ_TARGETS: readonly FuzzTarget[] };
  return module.FUZZ_TARGETS;
}

/** A line for each input, in base64. */
function fileOf(name: string): string {
  return `${CORPUS}/${name}.txt`;
}

const REGRESSION = 'regression ';

export function readKept(name: string): KeptInputs {
  const lines = existsSync(fileOf(name)) ? readFileSync(fileOf(name), 'utf8').trimEnd().split('\n') : [];
  const regressions = lines.filter((line) => line.startsWith(REGRESSION));
  const corpus = lines.filter((line) => line !== '' && !line.startsWith(REGRESSION));
  return {
    regressions: regressions.map((line) => Buffer.from(line.slice(REGRESSION.length), 'base64')),
    corpus: corpus.map((line) => Buffer.from(line, 'base64')),
  };
}

/** Keeps short ones first: they are those that somebody can look at. */
export function writeKept(name: string, { regressions, corpus }: KeptInputs): void {
  let bytes = 0;
  const kept = [...corpus]
    .sort((a, b) => a.length - b.length)
    .slice(0, MAX_KEPT)
    .filter(({ length }) => (bytes += length) <= MAX_KEPT_BYTES);
  const encoded = (input: Uint8Array): string => Buffer.from(input).toString('base64');
  const lines = [...regressions.map((input) => REGRESSION + encoded(input)), ...kept.map(encoded)];
  writeFileSync(fileOf(name), `${[...new Set(lines)].join('\n')}\n`);
}
