/** What to try after an error, for people at a terminal. */

const HINTS: readonly (readonly [RegExp, string])[] = [
  [/snapshot missing hash/, 'a file that was copied from a data directory has no digest: --skip-hash-check'],
  [/expected sha256/, 'the file is not what the member has sent: take it from another copy'],
  [/data-dir .* not empty/, 'name another directory with --data-dir, or move this one away'],
  [/wal-dir .* exists/, 'name another directory with --wal-dir, or move this one away'],
  [/locked/, 'stop the member that uses the file, or wait longer with --timeout'],
  [/local name .* in the initial cluster/, '--name must be one of the names in --initial-cluster'],
  [/no space left on device/, 'what was begun has been removed: make room, or name a directory elsewhere'],
];

export function hintFor(message: string): string | null {
  return HINTS.find(([pattern]) => pattern.test(message))?.[1] ?? null;
}
