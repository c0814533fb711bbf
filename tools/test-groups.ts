/**
 * Files of unit tests that share a process. Loading what the tests of a room stand on costs more CPU than most of the tests
 * themselves, and is done once then: half of the CPU of the tests of `server`. Whatever touches the process itself has one of its own.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

/** The others have few files, or some that take so long that two lanes should share them. */
const GROUPED: ReadonlySet<string> = new Set([
  'api',
  'base',
  'client',
  'host',
  'proxy',
  'raft',
  'server',
  'storage',
  'testing',
  'transport',
]);

/** Hooks at the top of a file would be hooks of the group, and some things there is only one of in a process. */
const OF_THE_PROCESS =
  /^(?:before|after|beforeEach|afterEach)\(|\bcheck(?:Databases|Logs)\(|process\.env\[[^\]]*\] *=|\bmock\.|process\.(?:exit|chdir|on|once|umask)\(|\bsetFlagsFromString\b|\bmemoryUsage\b|\bcpuUsage\b/m;

export interface TestFile {
  /** Below the root. */
  readonly path: string;
  readonly text: string;
}

/** Names of groups to their files, two at least, and what runs alone. */
export interface Groups {
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly alone: readonly string[];
}

export function groupFiles(files: readonly TestFile[]): Groups {
  const groups = new Map<string, string[]>();
  const alone: string[] = [];
  for (const { path, text } of files) {
    const [, name, room] = /^packages\/([^/]+)\/src\/(?:([^/]+)\/)?/.exec(path) ?? [];
    if (name === undefined || !GROUPED.has(name) || OF_THE_PROCESS.test(text)) {
      alone.push(path);
      continue;
    }
    const group = room === undefined ? name : `${name}-${room}`;
    const known = groups.get(group);
    if (known === undefined) groups.set(group, [path]);
    else known.push(path);
  }
  for (const [group, paths] of groups) {
    if (paths.length > 1) continue;
    groups.delete(group);
    alone.push(...paths);
  }
  return { groups, alone };
}

/** Writes a file for each group into `directory`, which imports the files of the group. Returns all that is to be run. */
export function writeGroups(root: string, directory: string, paths: readonly string[]): string[] {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const { groups, alone } = groupFiles(
    paths.map((path) => ({ path, text: readFileSync(`${root}${path}`, 'utf8') })),
  );
  const entries = [...groups].map(([name, members]) => {
    const entry = `${directory}/${name}.test.mjs`;
    const imports = members.map((path) => `import ${JSON.stringify(`${root}${path}`)};\n`);
    writeFileSync(entry, imports.join(''));
    return entry;
  });
  return [...alone, ...entries].sort();
}
