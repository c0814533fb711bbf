/**
 * Runs a program to its end, or until told otherwise, and keeps what it printed. Processes are ended by the id under
 * which they were started, and none outlives the test process.
 */
import { type ChildProcess, spawn } from 'node:child_process';

export interface RunOptions {
  readonly stdin?: string | Uint8Array | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** After this it is killed; a minute if not given. */
  readonly timeoutMs?: number | undefined;
  /** How the output becomes a string; `latin1` keeps binary output as it is. */
  readonly encoding?: 'utf8' | 'latin1' | undefined;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * As long as anything that must come is waited for. How long something takes is never what a test is about: on a busy machine everything
 * takes as long as it takes, and this only ends a test that would hang.
 */
export const PATIENCE_MS = 60_000;

const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

/** Watches over a child, so that it dies with this process at the latest. */
export function adopt(child: ChildProcess): void {
  living.add(child);
  child.once('exit', () => living.delete(child));
}

/** The environment of a child: ours without what would configure an etcd program behind the test's back. */
export function cleanEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = {};
  for (const [name, value] of Object.entries(process.env)) {
    // NODE_TEST_CONTEXT would make a child that is itself a Node program report to our test runner.
    if (!name.startsWith('ETCD') && name !== 'NODE_TEST_CONTEXT' && name !== 'NODE_OPTIONS')
      env[name] = value;
  }
  return { ...env, ...extra };
}

/** For Go's command-line tools: threads that have nothing to do cost them a third of the CPU of a short life. */
function ofTool(program: string): Readonly<Record<string, string>> {
  return /\/etcd(?:ctl|utl)$/.test(program) ? { GOMAXPROCS: '1' } : {};
}

/** A running program whose output can be waited for. */
export class Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  #stdout = '';
  #stderr = '';
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();

  constructor(program: string, args: readonly string[], options: RunOptions = {}) {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: cleanEnvironment({ ...ofTool(program), ...options.env }),
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    adopt(child);
    this.#child = child;
    this.pid = child.pid ?? -1;
    child.stdout.setEncoding(options.encoding ?? 'utf8').on('data', (text) => {
      this.#stdout += text;
      this.#notify();
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
      this.#notify();
    });
    // A program that ends without reading its input is no failure of the test.
    child.stdin.on('error', () => {});
    if (options.stdin !== undefined) child.stdin.end(options.stdin);
    // Nothing that a test starts may hang the run.
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? PATIENCE_MS);
    child.once('exit', () => clearTimeout(timer));
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#notify();
      });
    });
    // Whoever awaits `ended` sees the failure; nobody has to.
    this.ended.catch(() => {});
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  write(text: string): void {
    this.#child.stdin!.write(text);
  }

  closeStdin(): void {
    this.#child.stdin!.end();
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#child.kill(signal);
  }

  /** Resolves once the standard output satisfies `condition`; rejects with all output when time is up or it ends. */
  async waitForStdout(condition: (stdout: string) => boolean, timeoutMs = PATIENCE_MS): Promise<string> {
    const deadline = Date.now() + timeoutMs;
    while (!condition(this.#stdout)) {
      const leftMs = deadline - Date.now();
      const over = leftMs <= 0 ? 'timed out' : this.#child.exitCode !== null ? 'ended' : null;
      if (over !== null) {
        throw new Error(`${over} waiting for output; stdout:\n${this.#stdout}\nstderr:\n${this.#stderr}`);
      }
      await this.#change(leftMs);
    }
    return this.#stdout;
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#watchers.add(done);
    });
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}

/** Runs a program to its end. A program that outlives its time is killed, and the promise rejects. */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const running = new Running(program, args, { ...options, stdin: options.stdin ?? '' });
  const ended = await running.ended;
  if (ended.signal === 'SIGKILL') {
    const output = `stdout:\n${ended.stdout}\nstderr:\n${ended.stderr}`;
    throw new Error(`${program} ${args.join(' ')} did not end in time; ${output}`);
  }
  return ended;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Polls until `probe` returns something other than null, undefined or false. */
export async function eventually<T>(
  what: string,
  probe: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await probe();
    if (result !== null && result !== undefined && result !== false) return result;
    if (Date.now() > deadline) throw new Error(`not in ${timeoutMs} ms: ${what}`);
    await sleep(20);
  }
}
