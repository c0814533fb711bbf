/**
 * House rules that neither the compiler nor the linter knows: which package and which room may import which, what pure
 * packages may not touch, how long a file may be, and that every module says what it is for.
 */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { type Edges, PACKAGES, ROOMS } from './layout.ts';
import { checkExports } from './tidy/exports.ts';
import { checkLinks } from './tidy/links.ts';
import { roomsWithFewTests } from './tidy/test-ratio.ts';

/** Packages that do no I/O and read no clock; files named `node-*`, folders named `node` and programs' `main.ts` may. */
const CORE = new Set(['base', 'api', 'raft', 'bbolt', 'storage']);

const MAX_FILE_LINES = 700;

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  readonly where: (file: SourceFile) => boolean;
}

interface SourceFile {
  readonly path: string;
  readonly package: string;
  readonly isTest: boolean;
  readonly isBench: boolean;
  /** Something that tests are made with: in a folder `testing`, beside them. */
  readonly isForTests: boolean;
  readonly isGenerated: boolean;
  readonly isNodeShell: boolean;
  readonly text: string;
}

const inCore = (file: SourceFile): boolean =>
  CORE.has(file.package) && !file.isTest && !file.isBench && !file.isNodeShell;
const inSource = (file: SourceFile): boolean => !file.isTest && !file.isBench;

const BANS: readonly Ban[] = [
  { pattern: /\.shift\(\)/, instead: 'a RingBuffer: Array.shift moves the whole queue', where: inSource },
  {
    pattern: /\bDate\.now\(|\bnew Date\(\)|performance\.now\(/,
    instead: 'the injected Clock',
    where: inCore,
  },
  { pattern: /\bMath\.random\(/, instead: 'the injected Random', where: (file) => !file.isTest },
  { pattern: /\bset(Timeout|Interval|Immediate)\(/, instead: 'the injected Clock', where: inCore },
  {
    pattern: /from 'node:(fs|net|http|http2|https|tls|timers|dgram|child_process|worker_threads)/,
    instead: 'the injected Disk or Network',
    where: inCore,
  },
  {
    pattern: /\bdeclare global\b/,
    instead: 'a type that is imported: all packages are compiled in one program',
    where: () => true,
  },
  { pattern: /@ts-(ignore|nocheck|expect-error)/, instead: 'a type that is true', where: () => true },
  { pattern: /\b(TODO|FIXME|XXX)\b/, instead: 'the work itself, or a line in the README', where: () => true },
  { pattern: /\.(skip|todo|only)\(/, instead: 'a test that runs', where: (file) => file.isTest },
];

/** Complaints, one a line, as `path:line: what`; empty when the tree is tidy. */
export function tidy(root: string): string[] {
  const complaints: string[] = [];
  const files = [...sourceFiles(root)];
  for (const file of files) {
    checkHeader(file, complaints);
    checkLength(file, complaints);
    checkEdges(file, complaints);
    checkRooms(file, complaints);
    checkBans(file, complaints);
  }
  checkManifests(root, complaints);
  for (const edges of [PACKAGES, ...Object.values(ROOMS)]) checkOrder(edges, complaints);
  checkRoomEdges(files, complaints);
  complaints.push(...checkExports(files), ...checkLinks(root, pages(root)));
  complaints.push(...roomsWithFewTests(files));
  return complaints;
}

function checkHeader(file: SourceFile, complaints: string[]): void {
  if (file.isTest) return;
  if (!file.text.startsWith('/**') && !file.text.startsWith('// Code generated')) {
    complaints.push(`${file.path}:1: a module starts with a comment that says what it is for`);
  }
}

function checkLength(file: SourceFile, complaints: string[]): void {
  if (file.isTest || file.isGenerated) return;
  const lines = file.text.split('\n').length - 1;
  if (lines > MAX_FILE_LINES)
    complaints.push(`${file.path}:${lines}: over ${MAX_FILE_LINES} lines; split it`);
}

function checkEdges(file: SourceFile, complaints: string[]): void {
  const allowed = PACKAGES[file.package];
  if (allowed === undefined) return;
  const imports = file.text.matchAll(/from '(@etcd\/([a-z]+)[^']*|\.[^']*)'/g);
  for (const [, specifier, target] of imports) {
    if (target === undefined) {
      const depth = file.path.split('/').length - 3;
      const climbs = specifier!.split('../').length - 1;
      if (climbs > depth) complaints.push(`${file.path}: import '${specifier}' leaves the package`);
    } else if (target !== file.package && !allowed.includes(target)) {
      const testOnly = (file.isTest || file.isBench || file.isForTests) && target === 'testing';
      if (!testOnly) complaints.push(`${file.path}: package ${file.package} may not import ${target}`);
    } else if (specifier === '@etcd/base/node' && inCore(file)) {
      complaints.push(`${file.path}: only programs, tests and benchmarks import @etcd/base/node`);
    }
  }
}

/** A room imports its neighbours by their `index.ts`, and only those that the layout names. Tests may look behind it. */
function checkRooms(file: SourceFile, complaints: string[]): void {
  const rooms = ROOMS[file.package];
  const [, , , room, ...inRoom] = file.path.split('/');
  if (rooms === undefined || file.path.split('/')[2] !== 'src' || inRoom.length === 0) return;
  const allowed = rooms[room!];
  if (allowed === undefined) {
    complaints.push(`${file.path}: folder ${room} of ${file.package} is no room of the layout`);
    return;
  }
  const up = '../'.repeat(inRoom.length);
  const mayLookBehind = file.isTest || file.isBench || file.isForTests;
  for (const [, specifier] of file.text.matchAll(/from '(\.\.\/[^']*)'/g)) {
    if (!specifier!.startsWith(up)) continue;
    const [target, ...rest] = specifier!.slice(up.length).split('/');
    if (target === room) continue;
    if (rest.length === 0 || !allowed.includes(target!)) {
      complaints.push(`${file.path}: room ${room} may not import ${target}`);
    } else if (rest.join('/') !== 'index.ts' && !mayLookBehind) {
      complaints.push(`${file.path}: import ../${target}/index.ts instead of '${specifier}'`);
    }
  }
}

/** An edge that nobody needs any more is no edge. */
function checkRoomEdges(files: readonly SourceFile[], complaints: string[]): void {
  for (const [name, rooms] of Object.entries(ROOMS)) {
    for (const [room, targets] of Object.entries(rooms)) {
      const folder = `packages/${name}/src/${room}/`;
      const texts = files.filter(({ path }) => path.startsWith(folder)).map(({ text }) => text);
      for (const target of targets) {
        if (texts.some((text) => text.includes(`/${target}/index.ts'`))) continue;
        complaints.push(`tools/layout.ts: room ${room} of ${name} does not import ${target}`);
      }
    }
  }
}

/** Whoever imports stands behind what it imports, so that there is no way round in a circle. */
function checkOrder(edges: Edges, complaints: string[]): void {
  const known = new Set<string>();
  for (const [importer, allowed] of Object.entries(edges)) {
    for (const target of allowed) {
      if (!known.has(target)) complaints.push(`tools/layout.ts: ${target} has to stand before ${importer}`);
    }
    known.add(importer);
  }
}

function checkBans(file: SourceFile, complaints: string[]): void {
  const bans = BANS.filter((ban) => ban.where(file));
  for (const [index, line] of file.text.split('\n').entries()) {
    // This file names what it bans.
    if (file.path === 'tools/tidy.ts') return;
    for (const ban of bans) {
      if (ban.pattern.test(line)) complaints.push(`${file.path}:${index + 1}: use ${ban.instead}`);
    }
  }
}

/** A package's manifest names exactly the edges that it may have. */
function checkManifests(root: string, complaints: string[]): void {
  for (const name of readdirSync(`${root}packages`)) {
    const path = `packages/${name}/package.json`;
    if (!existsSync(root + path)) continue;
    const allowed = PACKAGES[name];
    if (allowed === undefined) {
      complaints.push(`${path}: package ${name} is not in tools/layout.ts`);
      continue;
    }
    const manifest = JSON.parse(readFileSync(root + path, 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    for (const dependency of Object.keys(manifest.dependencies ?? {})) {
      const target = /^@etcd\/(.*)$/.exec(dependency)?.[1];
      if (target !== undefined && !allowed.includes(target)) {
        complaints.push(`${path}: package ${name} may not depend on ${target}`);
      }
    }
  }
}

function pages(root: string): string[] {
  const patterns = ['*.md', '{docs,bench,tests}/**/*.md', 'packages/*/*.md', 'packages/*/src/**/*.md'];
  return globSync(patterns, { cwd: root, exclude: (path) => path.includes('node_modules') });
}

function* sourceFiles(root: string): Generator<SourceFile> {
  for (const top of ['packages', 'tests', 'bench', 'tools']) {
    for (const entry of readdirSync(root + top, { recursive: true, withFileTypes: true })) {
      const path = `${entry.parentPath.slice(root.length)}/${entry.name}`;
      if (!entry.isFile() || !path.endsWith('.ts') || path.includes('node_modules')) continue;
      const parts = path.split('/');
      yield {
        path,
        package: top === 'packages' ? parts[1]! : top,
        isTest: path.endsWith('.test.ts') || top === 'tests',
        isBench: path.endsWith('.bench.ts') || parts.includes('bench'),
        isForTests: parts.includes('testing') && parts[1] !== 'testing',
        isGenerated: parts.includes('gen'),
        isNodeShell:
          parts.includes('node') || parts.at(-1)!.startsWith('node-') || parts.at(-1) === 'main.ts',
        text: readFileSync(root + path, 'utf8'),
      };
    }
  }
}
