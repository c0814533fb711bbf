/** A server in a process of its own, and what it costs, read from the operating system. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Linux counts CPU time in hundredths of a second. */
const US_PER_TICK = 10_000;
const UTIME_FIELD = 13;
const STIME_FIELD = 14;

export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  static start(kind: string, nodeArgs: readonly string[] = []): Promise<ServerProcess> {
    const script = new URL('canned-server.ts', import.meta.url).pathname;
    const child = spawn(process.execPath, [...nodeArgs, script, kind], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return new Promise((resolve) => {
      child.stdout.once('data', (text: Buffer) => resolve(new ServerProcess(child, Number(text.toString()))));
    });
  }

  /** CPU time used so far, microseconds. */
  cpuUs(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(' ');
    return (Number(fields[UTIME_FIELD]) + Number(fields[STIME_FIELD])) * US_PER_TICK;
  }

  stop(): void {
    this.#child.kill('SIGTERM');
  }
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
