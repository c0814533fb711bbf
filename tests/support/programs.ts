/**
 * Where the programs are that the tests run. The program under test is `bin/etcd` of this checkout unless
 * `ETCD_UNDER_TEST` names another one, and the judge is real etcd 3.5 unless `ETCD_REFERENCE` does: so every suite
 * can be tried with real etcd on both sides, which proves the suite before it proves the program.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { findRequirement, type RequirementName } from '../../tools/test-requirements.ts';

export const ROOT = new URL('../..', import.meta.url).pathname;
export const PEERS_DIR = process.env['ETCD_PEERS'] ?? '/opt/etcd-peers';

/** The etcd of this checkout. */
export const OURS = `${ROOT}bin/etcd`;
/** The etcd whose conduct is tested. */
export const SUBJECT = process.env['ETCD_UNDER_TEST'] ?? OURS;
/** The etcd that it is compared with. */
export const REFERENCE = process.env['ETCD_REFERENCE'] ?? `${PEERS_DIR}/3.5/etcd`;

export type PeerVersion = '3.4' | '3.5' | '3.6' | '3.7';

/** The path of a real etcd program of a released version. */
export function peer(version: PeerVersion, program: 'etcd' | 'etcdctl' | 'etcdutl'): string {
  return `${PEERS_DIR}/${version}/${program}`;
}

/** Path of a tool that some tests need; only valid inside tests guarded by {@link needs}. */
export function tool(name: RequirementName): string {
  const found = findRequirement(name);
  if (found === null) throw new Error(`${name} is not on this machine`);
  return found;
}

/**
 * Test options for a test that needs programs which may be missing. On a developer's machine the test is then
 * skipped with the name of what is missing (`npm test` counts and lists these at the end); with `CI` set it
 * runs, and fails.
 */
export function needs(...names: RequirementName[]): { skip?: string } {
  if (process.env['CI'] !== undefined) return {};
  const missing = names.filter((name) => findRequirement(name) === null);
  return missing.length === 0 ? {} : { skip: `missing: ${missing.join(', ')}` };
}

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** All lines of `--version`. */
  readonly lines: readonly string[];
}

const versions = new Map<string, Version>();

/** What a program's `--version` says, asked once. */
export function versionOf(program: string): Version {
  const known = versions.get(program);
  if (known !== undefined) return known;
  const text = execFileSync(program, ['--version'], { encoding: 'utf8', timeout: 20_000 });
  const match = /(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (match === null) throw new Error(`${program} --version prints no version: ${text}`);
  const [major, minor, patch] = match.slice(1).map(Number);
  const version = { major: major!, minor: minor!, patch: patch!, lines: text.trimEnd().split('\n') };
  versions.set(program, version);
  return version;
}

/** True if the program conducts itself as etcd `major.minor` or later. */
export function atLeast(program: string, major: number, minor: number): boolean {
  const version = versionOf(program);
  return version.major > major || (version.major === major && version.minor >= minor);
}

/**
 * True for an etcd compiled from Go: some checks ask for more than real etcd of a later release can do, such as giving
 * a data directory back to an earlier one.
 */
export function isGo(program: string): boolean {
  const file = openSync(program, 'r');
  const magic = Buffer.alloc(4);
  readSync(file, magic, 0, 4, 0);
  closeSync(file);
  return magic.toString('latin1') === '\x7fELF';
}

/** Flags with which the program under test founds a cluster that a release can go on with; real etcd has none of them. */
export function foundedAt(release: Exclude<PeerVersion, '3.4'>): string[] {
  return isGo(SUBJECT) ? [] : [`--max-cluster-version=${release}`];
}
