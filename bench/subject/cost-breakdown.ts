/** Sorts the samples of a server's CPU profile by what was going on. */
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Profile, ProfileNode } from './probe-report.ts';

/** Time of the event loop's thread, in this order in tables. Idle time is none of it. */
export const COST_KINDS = [
  'collections',
  'sync',
  'calls',
  'native',
  'copying',
  'checksums',
  'transport',
  'api',
  'raft',
  'storage',
  'bbolt',
  'server',
  'other',
  'node',
] as const;
export type CostKind = (typeof COST_KINDS)[number];

/** Node's native functions that are a system call, or little more. */
const SYSTEM_CALLS: ReadonlySet<string> = new Set([
  ...['writev', 'writeBuffer', 'writeBuffers', 'writeString', 'writeLatin1String', 'writeUtf8String'],
  ...['read', 'open', 'close', 'ftruncate', 'fstat', 'shutdown', 'readStart', 'readStop'],
]);
/** Mostly waiting, for the disk. */
const SYNCS: ReadonlySet<string> = new Set(['fdatasync', 'fsync']);
/** Node's function that writes to a file without a callback, and ours that it may be inlined in: what the log does, durably. */
const FILE_WRITES: ReadonlySet<string> = new Set(['writeSync', '#write', 'writeSynced', '#writeInline']);
const COPYING: ReadonlySet<string> = new Set([
  ...['set', 'copy', 'fill', 'slice', 'subarray', 'copyWithin', 'copyArrayStart', '_copyActual', 'concat'],
  ...['latin1Slice', 'latin1Write', 'utf8Slice', 'utf8Write'],
]);
const PROBE = /\/probe\.ts\b/;
const CHECKSUM_FILE = /\/(crc32c|xxhash32|change-hashes|key-hasher|hash)\.ts$/;
const PACKAGE = /(?:^|\/)packages\/(\w[\w-]*)\//;

const PACKAGE_KINDS: ReadonlySet<string> = new Set<CostKind>([
  'transport',
  'api',
  'raft',
  'storage',
  'bbolt',
  'server',
]);

/** Microseconds of each kind. */
export function breakDown(profile: Profile): Map<CostKind, number> {
  const kindOf = new Map<number, CostKind | null>();
  const maps = new SourceMaps();
  for (const node of profile.nodes) kindOf.set(node.id, kindOfNode(node, maps));
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  for (const { callFrame, children = [] } of profile.nodes) {
    if (!FILE_WRITES.has(callFrame.functionName)) continue;
    for (const id of children) if (byId.get(id)?.callFrame.url === '') kindOf.set(id, 'sync');
  }
  const times = new Map<CostKind, number>(COST_KINDS.map((kind) => [kind, 0]));
  profile.samples.forEach((id, i) => {
    const kind = kindOf.get(id) ?? null;
    if (kind !== null) times.set(kind, times.get(kind)! + Math.max(0, profile.timeDeltas[i]!));
  });
  return times;
}

/** Null for what is no work. */
function kindOfNode({ callFrame }: ProfileNode, maps: SourceMaps): CostKind | null {
  const { functionName, url, lineNumber, columnNumber } = callFrame;
  if (functionName === '(idle)' || functionName === '(root)') return null;
  // The probe's own.
  if (functionName === 'memoryUsage' || url === 'node:inspector' || PROBE.test(url)) return null;
  if (functionName === '(garbage collector)') return 'collections';
  if (functionName === '(program)') return 'native';
  if (url === '') {
    if (SYNCS.has(functionName)) return 'sync';
    if (SYSTEM_CALLS.has(functionName)) return 'calls';
    return COPYING.has(functionName) ? 'copying' : 'node';
  }
  if (url.startsWith('node:')) return 'node';
  const source = maps.sourceOf(url, lineNumber, columnNumber);
  if (CHECKSUM_FILE.test(source)) return 'checksums';
  const name = PACKAGE.exec(source)?.[1] ?? '';
  return PACKAGE_KINDS.has(name) ? (name as CostKind) : 'other';
}

/** Which source file a place of a bundle comes from. */
class SourceMaps {
  readonly #maps = new Map<string, SourceMap | null>();

  sourceOf(url: string, line: number, column: number): string {
    const path = url.startsWith('file:') ? fileURLToPath(url) : url;
    let map = this.#maps.get(path);
    if (map === undefined) {
      const mapPath = `${path}.map`;
      map = existsSync(mapPath) ? new SourceMap(JSON.parse(readFileSync(mapPath, 'utf8'))) : null;
      this.#maps.set(path, map);
    }
    const entry = map?.findEntry(line, column);
    return entry !== undefined && 'originalSource' in entry ? entry.originalSource : path;
  }
}
