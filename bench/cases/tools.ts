/**
 * The command-line tools beside a server, as whole processes: short commands, and snapshots of a large database. Both programs' tools
 * work with the same server and the same file, so that only the tools differ.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type BenchCase, MB, type RunningCase, type Sample, SingleServer, type Stage } from '../case.ts';
import { residentMemory } from '../subject/process-usage.ts';
import { fill } from './requests.ts';

const OURS = new URL('../../bin/etcd', import.meta.url).pathname;
const VALUE_BYTES = 4_000;
const KEYS = 250_000;
const QUICK_KEYS = 500;
/** Short commands of one round, of which the median counts. */
const RUNS = 15;
/** How often the memory of a tool is looked at; the kernel keeps its peak. */
const SAMPLE_MS = 2;

interface Ended {
  readonly elapsedMs: number;
  readonly peakBytes: number;
}

function runTool(program: string, args: readonly string[]): Promise<Ended> {
  const startMs = performance.now();
  const child = spawn(program, args, { stdio: 'ignore', env: { ...process.env, ETCDCTL_API: '3' } });
  let peakBytes = 0;
  const timer = setInterval(() => {
    try {
      peakBytes = Math.max(peakBytes, residentMemory(child.pid ?? -1).peakBytes || 0);
    } catch {
      // It has ended meanwhile.
    }
  }, SAMPLE_MS);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => {
      clearInterval(timer);
      if (code !== 0) reject(new Error(`${program} ${args.join(' ')} ended with ${code}`));
      else resolve({ elapsedMs: performance.now() - startMs, peakBytes });
    });
  });
}

async function medianOf(program: string, args: readonly string[], runs: number): Promise<Ended> {
  const all: Ended[] = [];
  for (let i = 0; i < runs; i++) all.push(await runTool(program, args));
  const middle = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[runs >> 1]!;
  return {
    elapsedMs: middle(all.map(({ elapsedMs }) => elapsedMs)),
    peakBytes: middle(all.map(({ peakBytes }) => peakBytes)),
  };
}

async function openShort({ program, isQuick }: Stage): Promise<RunningCase> {
  const subject = await SingleServer.start(OURS);
  const etcdctl = join(dirname(program), 'etcdctl');
  const endpoint = `--endpoints=${subject.server.target}`;
  const runs = isQuick ? 1 : RUNS;
  return {
    round: async (): Promise<Sample> => {
      const put = await medianOf(etcdctl, [endpoint, 'put', 'key', 'value'], runs);
      const get = await medianOf(etcdctl, [endpoint, 'get', 'key'], runs);
      const floor = await medianOf(process.execPath, ['-e', '0'], runs);
      return {
        put: put.elapsedMs,
        get: get.elapsedMs,
        memory: put.peakBytes / MB,
        floor: floor.elapsedMs,
        'floor-memory': floor.peakBytes / MB,
      };
    },
    close: () => subject.close(),
  };
}

async function openSnapshot({ program, isQuick }: Stage): Promise<RunningCase> {
  const subject = await SingleServer.start(OURS);
  await fill(subject, { prefix: '/large/', count: isQuick ? QUICK_KEYS : KEYS }, VALUE_BYTES);
  const [etcdctl, etcdutl] = ['etcdctl', 'etcdutl'].map((name) => join(dirname(program), name)) as [
    string,
    string,
  ];
  return {
    round: async (): Promise<Sample> => {
      const directory = mkdtempSync(join(tmpdir(), 'etcd-bench-tools-'));
      try {
        const file = join(directory, 'snapshot.db');
        const endpoint = `--endpoints=${subject.server.target}`;
        const save = await runTool(etcdctl, [endpoint, 'snapshot', 'save', file]);
        const status = await runTool(etcdutl, ['snapshot', 'status', file]);
        const target = ['--data-dir', join(directory, 'made')];
        const restore = await runTool(etcdutl, ['snapshot', 'restore', file, ...target]);
        const sizeMb = statSync(file).size / MB;
        const floor = await medianOf(process.execPath, ['-e', '0'], isQuick ? 1 : 5);
        return {
          size: sizeMb,
          save: (sizeMb * 1000) / save.elapsedMs,
          'save-memory': (save.peakBytes - floor.peakBytes) / MB,
          status: (sizeMb * 1000) / status.elapsedMs,
          'status-memory': status.peakBytes / MB,
          restore: (sizeMb * 1000) / restore.elapsedMs,
          'restore-memory': restore.peakBytes / MB,
        };
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
    close: () => subject.close(),
  };
}

export const shortCommands: BenchCase = {
  name: 'etcdctl',
  about: `etcdctl put and get as whole processes against one server of ours, medians of ${RUNS}; the floor is node -e 0`,
  isFresh: true,
  rows: [
    { figure: 'put', label: 'put', unit: 'ms', goal: { ratioAtMost: 1.2 } },
    { figure: 'get', label: 'get', unit: 'ms', goal: { ratioAtMost: 1.2 } },
    { figure: 'memory', label: 'peak memory of put', unit: 'MB', goal: { ratioAtMost: 2 } },
    { figure: 'floor', label: 'node -e 0', unit: 'ms' },
    { figure: 'floor-memory', label: 'memory of node -e 0', unit: 'MB' },
  ],
  open: openShort,
};

export const snapshotTools: BenchCase = {
  name: 'snapshot-1g',
  about: `a database of ${KEYS} keys with values of ${VALUE_BYTES} bytes on a server of ours: saved, looked at and restored by the tools`,
  isLong: true,
  isFresh: true,
  rows: [
    { figure: 'size', label: 'size of the snapshot', unit: 'MB' },
    { figure: 'save', label: 'snapshot save', unit: 'MB/s', goal: { ratioAtLeast: 1 } },
    { figure: 'save-memory', label: 'its memory above node -e 0', unit: 'MB', goal: { atMost: 64 } },
    { figure: 'status', label: 'snapshot status', unit: 'MB/s', goal: { ratioAtLeast: 1 } },
    { figure: 'status-memory', label: 'its memory', unit: 'MB' },
    { figure: 'restore', label: 'snapshot restore', unit: 'MB/s', goal: { ratioAtLeast: 1 } },
    { figure: 'restore-memory', label: 'its memory', unit: 'MB' },
  ],
  open: openSnapshot,
};
