/** The launcher `bin/etcd`, beside a program that only tells how it was started, on machines made of files. */
import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';

const LAUNCHER = new URL('../../bin/etcd', import.meta.url).pathname;
const DIST = new URL('../../dist', import.meta.url).pathname;
const STARTER = path.join(DIST, 'etcd.cjs');

const PROGRAM = `process.stdout.write(JSON.stringify({
  pid: process.pid, options: process.execArgv, args: process.argv.slice(2), environment: process.env.NODE_OPTIONS ?? null,
  malloc: [process.env.MALLOC_ARENA_MAX, process.env.MALLOC_TRIM_THRESHOLD_, process.env.MALLOC_MMAP_THRESHOLD_],
}))`;

let root: string;

before(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'launcher-'));
});

after(() => {
  fs.rmSync(root, { recursive: true });
});

interface Machine {
  /** Contents of files below /proc and /sys. */
  readonly files?: Readonly<Record<string, string>>;
  readonly isBuilt?: boolean;
  readonly isInstalled?: boolean;
}

let machines = 0;

/** A checkout with the launcher, which looks for /proc and /sys below the checkout instead. Returns the launcher's path. */
function checkout({ files = {}, isBuilt = true, isInstalled = true }: Machine = {}): string {
  const directory = path.join(root, `machine ${machines++}`);
  const write = (name: string, text: string): string => {
    const file = path.join(directory, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    return file;
  };
  for (const [name, text] of Object.entries(files)) write(name, text);
  if (isBuilt) write('dist/etcd.cjs', PROGRAM);
  if (isInstalled) {
    const node = path.join(directory, 'node_modules/node/bin/node');
    fs.mkdirSync(path.dirname(node), { recursive: true });
    fs.symlinkSync(process.execPath, node);
  }
  const script = fs.readFileSync(LAUNCHER, 'utf8').replaceAll(/(?<= |<)\/(?=proc\/|sys\/)/g, '"$root"/');
  const launcher = write('bin/etcd', script);
  fs.chmodSync(launcher, 0o755);
  return launcher;
}

function run(
  launcher: string,
  args: readonly string[] = [],
  options: { cwd?: string; environment?: Record<string, string> } = {},
): SpawnSyncReturns<string> {
  return spawnSync(launcher, args, {
    encoding: 'utf8',
    timeout: 10_000,
    cwd: options.cwd ?? root,
    env: { PATH: '/usr/bin:/bin', ...options.environment },
  });
}

interface Told {
  readonly pid: number;
  readonly options: readonly string[];
  readonly args: readonly string[];
  readonly environment: string | null;
  readonly malloc: readonly string[];
}

function told(result: SpawnSyncReturns<string>): Told {
  assert.equal(result.status, 0, result.stderr);
  return JSON.parse(result.stdout) as Told;
}

function heapMegabytes(files: Readonly<Record<string, string>>): number {
  const { options } = told(run(checkout({ files })));
  const option = options.find((candidate) => candidate.startsWith('--max-old-space-size='));
  return Number(option?.split('=')[1]);
}

const GIBIBYTE = 1024 ** 3;
const MEMORY_16G = { 'proc/meminfo': `MemTotal:       ${16 * 1024 ** 2} kB\nMemFree:  1 kB\n` };

test('arguments arrive as they were given', () => {
  const args = ['--name', 'm 1', '', '--initial-cluster=a=http://x:1,b="$HOME"', "it's", '*', '-h'];
  assert.deepEqual(told(run(checkout(), args)).args, args);
});

test('the launcher becomes the program: same process id', async () => {
  const child = spawn(checkout(), [], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  await new Promise((resolve) => child.on('close', resolve));
  assert.equal((JSON.parse(text) as Told).pid, child.pid);
});

test('it finds its checkout from any directory, by any path and through links', () => {
  const launcher = checkout();
  const bin = path.dirname(launcher);
  const links = path.join(root, 'links');
  fs.mkdirSync(links);
  fs.symlinkSync(launcher, path.join(links, 'absolute'));
  fs.symlinkSync(path.relative(links, launcher), path.join(links, 'relative'));
  fs.symlinkSync('relative', path.join(links, 'chain'));
  told(run('./etcd', [], { cwd: bin }));
  told(run('bin/etcd', [], { cwd: path.dirname(bin) }));
  for (const name of ['absolute', 'relative', 'chain']) {
    told(run(path.join(links, name), [], { cwd: '/' }));
    told(run(`./${name}`, [], { cwd: links }));
  }
  told(
    spawnSync('sh', ['-c', 'etcd'], { encoding: 'utf8', cwd: '/', env: { PATH: `${bin}:/usr/bin:/bin` } }),
  );
});

test('the heap may take three quarters of the memory of the machine', () => {
  assert.equal(heapMegabytes(MEMORY_16G), 12_288);
});

test('a control group of version 2 limits the heap, and so does every group around it', () => {
  const group = { ...MEMORY_16G, 'proc/self/cgroup': '0::/system.slice/etcd.service\n' };
  const service = 'sys/fs/cgroup/system.slice/etcd.service/memory.max';
  const slice = 'sys/fs/cgroup/system.slice/memory.max';
  assert.equal(heapMegabytes({ ...group, [service]: `${4 * GIBIBYTE}\n` }), 3072);
  assert.equal(heapMegabytes({ ...group, [service]: 'max\n', [slice]: `${2 * GIBIBYTE}\n` }), 1536);
  assert.equal(heapMegabytes({ ...group, [service]: 'max\n' }), 12_288);
  assert.equal(heapMegabytes({ ...group, [service]: `${64 * GIBIBYTE}\n` }), 12_288);
});

test('a container finds its limit at the root of its own mount', () => {
  assert.equal(
    heapMegabytes({
      ...MEMORY_16G,
      'proc/self/cgroup': '0::/kubepods/pod42/abc\n',
      'sys/fs/cgroup/memory.max': `${GIBIBYTE}\n`,
    }),
    768,
  );
  assert.equal(
    heapMegabytes({
      ...MEMORY_16G,
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/memory.max': `${GIBIBYTE}\n`,
    }),
    768,
  );
});

test('a control group of version 1 limits the heap', () => {
  const group = { ...MEMORY_16G, 'proc/self/cgroup': '9:cpu:/\n4:memory,hugetlb:/a/b\n0::/\n' };
  const limit = 'sys/fs/cgroup/memory/a/b/memory.limit_in_bytes';
  assert.equal(heapMegabytes({ ...group, [limit]: `${2 * GIBIBYTE}\n` }), 1536);
  assert.equal(heapMegabytes({ ...group, [limit]: '9223372036854771712\n' }), 12_288);
});

test('where nothing is known, or next to nothing is allowed, the heap is one that works', () => {
  assert.equal(heapMegabytes({}), 2048);
  assert.equal(
    heapMegabytes({
      ...MEMORY_16G,
      'proc/self/cgroup': '0::/\n',
      'sys/fs/cgroup/memory.max': `${32 * 1024 ** 2}\n`,
    }),
    64,
  );
  assert.equal(
    heapMegabytes({
      ...MEMORY_16G,
      'proc/self/cgroup': 'nonsense\n\n0::nonsense\n0::\n',
      'sys/fs/cgroup/memory.max': 'nonsense\n',
    }),
    12_288,
  );
});

test('ETCD_NODE_OPTIONS comes last and so wins; NODE_OPTIONS is not for this program', () => {
  const { options, environment } = told(
    run(checkout(), [], {
      environment: {
        ETCD_NODE_OPTIONS: '--max-old-space-size=999 --no-warnings',
        NODE_OPTIONS: '--nonsense',
      },
    }),
  );
  assert.deepEqual(options.slice(-2), ['--max-old-space-size=999', '--no-warnings']);
  assert.ok(options.includes('--disable-sigusr1'));
  assert.ok(options.includes('--no-parallel-scavenge'));
  assert.equal(environment, null);
});

test('V8 takes the code that the build made, under the flags of large and of small machines', () => {
  const starter = fs.readFileSync(STARTER, 'utf8');
  const verdict = 'process.stdout.write(String(script.cachedDataRejected));\n';
  const asking = starter.replace(/^script\.run.*\n/m, verdict).replaceAll('__dirname', JSON.stringify(DIST));
  assert.ok(asking.includes(verdict));
  const file = path.join(root, 'asking.cjs');
  fs.writeFileSync(file, asking);
  for (const memoryMegabytes of [16_384, 384]) {
    const files = { 'proc/meminfo': `MemTotal:       ${memoryMegabytes * 1024} kB\n` };
    const { options } = told(run(checkout({ files })));
    const { stdout } = spawnSync(process.execPath, [...options, file], { encoding: 'utf8' });
    assert.equal(stdout, 'false', options.join(' '));
    // Nor is the code refused that Node has of its own modules.
    const asked = ['-p', 'v8.cachedDataVersionTag()'];
    const [ours, none] = [options, []].map((flags) =>
      spawnSync(process.execPath, [...flags, ...asked], { encoding: 'utf8' }),
    );
    assert.deepEqual([ours!.stdout, ours!.status], [none!.stdout, 0], options.join(' '));
  }
});

test('the C library is told to give memory back, unless the environment says how it should be', () => {
  assert.deepEqual(told(run(checkout())).malloc, ['2', '131072', '131072']);
  const { malloc } = told(run(checkout(), [], { environment: { MALLOC_ARENA_MAX: '7' } }));
  assert.deepEqual(malloc, ['7', '131072', '131072']);
});

test('a checkout that is not built says how to build it', () => {
  const { status, stderr } = run(checkout({ isBuilt: false }));
  assert.equal(status, 1);
  assert.match(stderr, /dist\/etcd\.cjs is missing; build it with: npm ci && npm run build\n$/);
});

/** A directory with a `node` that says it has this version, and otherwise is this one. */
function pathWithNode(version: string): string {
  const directory = fs.mkdtempSync(path.join(root, 'path-'));
  const script = `#!/bin/sh\n[ "$1" = --version ] && { echo ${version}; exit; }\nexec '${process.execPath}' "$@"\n`;
  fs.writeFileSync(path.join(directory, 'node'), script, { mode: 0o755 });
  return directory;
}

test('without the Node of the checkout, one on the path serves if it is new enough', () => {
  const launcher = checkout({ isInstalled: false });
  const withPath = (directory: string): SpawnSyncReturns<string> =>
    run(launcher, ['x'], { environment: { PATH: `${directory}:/bin` } });
  assert.deepEqual(told(withPath(pathWithNode('v24.0.0'))).args, ['x']);
  assert.deepEqual(told(withPath(pathWithNode('v26.1.0'))).args, ['x']);
  for (const version of ['v22.5.0', 'nonsense', '']) {
    const { status, stderr } = withPath(pathWithNode(version));
    assert.equal(status, 1);
    assert.match(stderr, /Node\.js 24 or later is needed, but .*; install it with: npm ci\n$/);
  }
  const empty = fs.mkdtempSync(path.join(root, 'empty-'));
  fs.symlinkSync('/bin/sh', path.join(empty, 'sh'));
  const none = run(launcher, [], { environment: { PATH: empty } });
  assert.equal(none.status, 1);
  assert.match(none.stderr, /no Node\.js found; install it with: npm ci\n$/);
});
