/** `etcd gateway` and `etcd grpc-proxy` as child processes: any etcd program, listening on a port of loopback. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SUBJECT } from './programs.ts';
import { type Ended, PATIENCE_MS, Running } from './run.ts';
import { freePort, temporaryDirectory } from './temporary.ts';

export interface ProxyOptions {
  /** The program; the one under test if not given. */
  readonly program?: string | undefined;
  readonly endpoints: readonly string[];
  readonly flags?: readonly string[] | undefined;
  readonly port?: number | undefined;
  /** What the program is started with, which becomes the program. */
  readonly launcher?: readonly string[] | undefined;
}

/** A test may use its proxy for as long as a test may take. */
const LIFETIME_MS = 10 * PATIENCE_MS;
const READY = { gateway: 'ready to proxy client requests', 'grpc-proxy': 'started gRPC proxy' } as const;

const living = new Set<Running>();

/** For a hook after a test: what a failed test has left running keeps its process from ending. */
export function endProxies(): void {
  for (const one of living) one.kill('SIGKILL');
}

export class ProxyProcess {
  readonly port: number;
  readonly #running: Running;

  private constructor(running: Running, port: number) {
    this.#running = running;
    this.port = port;
  }

  static async start(kind: keyof typeof READY, options: ProxyOptions): Promise<ProxyProcess> {
    const port = options.port ?? (await freePort());
    const args = [
      kind,
      'start',
      `--listen-addr=127.0.0.1:${port}`,
      `--endpoints=${options.endpoints.join(',')}`,
    ];
    if (kind === 'grpc-proxy') args.push(`--advertise-client-url=127.0.0.1:${port}`);
    const command = [
      ...(options.launcher ?? []),
      options.program ?? SUBJECT,
      ...args,
      ...(options.flags ?? []),
    ];
    const running = new Running(command[0]!, command.slice(1), {
      cwd: temporaryDirectory(),
      timeoutMs: LIFETIME_MS,
    });
    living.add(running);
    void running.ended.finally(() => living.delete(running));
    const proxy = new ProxyProcess(running, port);
    await proxy.waitForLog(READY[kind]);
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#running.pid;
  }

  get log(): string {
    return this.#running.stderr;
  }

  /** Rejects, with all output, if it ends before it says so. */
  async waitForLog(text: string): Promise<void> {
    let end: Ended | null = null;
    void this.#running.ended.then((ended) => (end = ended));
    for (const deadline = Date.now() + PATIENCE_MS; !this.log.includes(text); ) {
      if (end !== null || Date.now() > deadline) {
        throw new Error(`no "${text}" from the proxy:\n${this.#running.stdout}\n${this.log}`);
      }
      await sleep(20);
    }
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.#running.kill(signal);
    return this.#running.ended;
  }
}
