/** Our server with the probe in it, and what the kernel counts of it besides. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SingleServer } from '../case.ts';
import type { ClientFiles } from '../load/connect.ts';
import type { ProbeReport } from './probe-report.ts';
import { threadTimeUs } from './process-usage.ts';

/** How many calls of each system call, by name. */
export type SystemCalls = ReadonlyMap<string, number>;

/** strace's own start and end. */
const STRACE_TIMEOUT_MS = 20_000;

export class ProbedEtcd {
  readonly subject: SingleServer;
  readonly #directory: string;
  readonly #socketPath: string;

  private constructor(subject: SingleServer, directory: string, socketPath: string) {
    this.subject = subject;
    this.#directory = directory;
    this.#socketPath = socketPath;
  }

  static async start(program: string, tls: ClientFiles | null = null): Promise<ProbedEtcd> {
    const directory = mkdtempSync(join(tmpdir(), 'etcd-probe-'));
    process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
    const socketPath = join(directory, 'socket');
    const probe = new URL('probe.ts', import.meta.url);
    probe.searchParams.set('socket', socketPath);
    return new ProbedEtcd(
      await SingleServer.start(program, tls, `--import=${probe.href}`),
      directory,
      socketPath,
    );
  }

  get pid(): number {
    return this.subject.server.pid;
  }

  /** Looks at the server while `work` goes on; `more` is a profile, or each turn of its event loop. */
  async watch(work: () => Promise<unknown>, more: '' | 'profile' | 'turns' = ''): Promise<ProbeReport> {
    const socket = createConnection(this.#socketPath);
    socket.setEncoding('latin1');
    await once(socket, 'connect');
    socket.write(`start ${more}\n`);
    await lineOf(socket);
    await work();
    socket.write('stop\n');
    return JSON.parse(await lineOf(socket)) as ProbeReport;
  }

  /** Counts system calls while `work` goes on; null where there is no strace, or it is not allowed to. */
  async countSystemCalls(work: () => Promise<unknown>): Promise<SystemCalls | null> {
    const options = ['-c', '-f', '-U', 'calls,name', '-p', String(this.pid)];
    const strace = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] });
    const text = textOf(strace);
    const isAttached = await new Promise<boolean>((resolve) => {
      strace.once('error', () => resolve(false));
      strace.once('exit', () => resolve(false));
      strace.stderr.once('data', () => resolve(true));
    });
    if (!isAttached) return null;
    await work();
    const ended = once(strace, 'exit');
    strace.kill('SIGINT');
    const timer = setTimeout(() => strace.kill('SIGKILL'), STRACE_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    return parseSystemCalls(await text);
  }

  /** CPU time by kind of thread: the event loop's, the thread pool's for files, V8's for garbage and code. */
  threadTimesUs(): ReadonlyMap<string, number> {
    const times = new Map<string, number>();
    for (const id of readdirSync(`/proc/${this.pid}/task`)) {
      const name =
        Number(id) === this.pid
          ? 'event loop'
          : readFileSync(`/proc/${this.pid}/task/${id}/comm`, 'utf8').trim();
      times.set(name, (times.get(name) ?? 0) + threadTimeUs(this.pid, Number(id)));
    }
    return times;
  }

  async close(): Promise<void> {
    await this.subject.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The next line that comes. */
function lineOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.once('error', reject);
    socket.on('data', function onData(part: string) {
      text += part;
      if (!text.endsWith('\n')) return;
      socket.off('data', onData);
      resolve(text);
    });
  });
}

async function textOf(child: ChildProcess): Promise<string> {
  let text = '';
  child.stderr!.setEncoding('utf8');
  child.stderr!.on('data', (part: string) => {
    text += part;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return text;
}

/** A table of calls and names, with rules and a total. */
function parseSystemCalls(text: string): SystemCalls {
  const calls = new Map<string, number>();
  for (const [, count, name] of text.matchAll(/^\s*(\d+)\s+(\w+)\s*$/gm)) {
    if (name !== 'total') calls.set(name!, Number(count));
  }
  return calls;
}
