/**
 * An etcd server as a child process: any etcd program, with a data directory and ports of its own. It counts as
 * started when it logs `ready to serve client requests`, as for every harness that starts an etcd.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atLeast, OURS, SUBJECT } from './programs.ts';
import { adopt, cleanEnvironment, type Ended, PATIENCE_MS } from './run.ts';
import { freePort, temporaryDirectory } from './temporary.ts';

export interface EtcdOptions {
  /** The program; the one under test if not given. */
  readonly program?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly name?: string | undefined;
  readonly clientPort?: number | undefined;
  readonly peerPort?: number | undefined;
  /** Address of both listeners; loopback if not given. */
  readonly host?: string | undefined;
  /** `https` where it listens for clients, or for other members, over TLS; the files are given as flags. */
  readonly clientScheme?: 'http' | 'https' | undefined;
  readonly peerScheme?: 'http' | 'https' | undefined;
  /** The peer URL that the others are told, if it is not that of the listener: say, a proxy's. */
  readonly advertisedPeerUrl?: string | undefined;
  /** The value of `--initial-cluster`; only this member if not given; null: no such flag, it finds the others itself. */
  readonly initialCluster?: string | null | undefined;
  /** What the program is started with: say, `ip netns exec NAME`, which becomes the program. */
  readonly launcher?: readonly string[] | undefined;
  /** More flags, after those that every server gets. */
  readonly flags?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly readyTimeoutMs?: number | undefined;
  /** Keep the log of a long run from growing in this process. */
  readonly keepLog?: boolean | undefined;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A single member on default timing elects itself in about a second; this makes it a tenth. */
export const FAST_ELECTION = ['--heartbeat-interval=20', '--election-timeout=200'] as const;

/** Hashes at etcd's own cost take a processor a tenth of a second each; a test that is about them names a cost, which wins. */
const CHEAP_PASSWORDS = '--bcrypt-cost=4';
export const USUAL_PASSWORDS = '--bcrypt-cost=10';

const READY = 'ready to serve client requests';
const READY_34 = 'serving client traffic insecurely';

export class EtcdServer {
  readonly program: string;
  readonly dataDir: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly host: string;
  readonly ended: Promise<Ended>;
  readonly log: LogLine[] = [];
  readonly #options: EtcdOptions;
  readonly #child: ChildProcess;
  readonly #logWatchers = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #isOver = false;

  private constructor(options: EtcdOptions, dataDir: string, clientPort: number, peerPort: number) {
    this.#options = options;
    this.program = options.program ?? SUBJECT;
    this.dataDir = dataDir;
    this.clientPort = clientPort;
    this.peerPort = peerPort;
    this.host = options.host ?? '127.0.0.1';
    const [command, ...args] = [...(options.launcher ?? []), this.program, ...this.#args()];
    this.#child = spawn(command!, args, {
      // A relative path that a server makes up (say, a default data-dir) must not land in the checkout.
      cwd: tmpdir(),
      env: cleanEnvironment({ ...(this.program === SUBJECT ? verification() : {}), ...options.env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    adopt(this.#child);
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.#readLog();
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        this.#isOver = true;
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
        this.#notify();
      });
    });
    this.ended.catch(() => {});
  }

  /** Starts a server and waits until it serves. Rejects, with the last log lines, if it ends or takes too long. */
  static async start(options: EtcdOptions = {}): Promise<EtcdServer> {
    const server = await EtcdServer.launch(options);
    try {
      await server.ready();
    } catch (error) {
      server.#child.kill('SIGKILL');
      throw error;
    }
    return server;
  }

  /** Waits until it serves clients, which takes the majority of its cluster. */
  async ready(): Promise<void> {
    await this.waitForLog(this.#isOld ? READY_34 : READY, this.#options.readyTimeoutMs ?? PATIENCE_MS);
  }

  /** Starts a server without waiting: for servers that are expected to refuse. */
  static async launch(options: EtcdOptions = {}): Promise<EtcdServer> {
    const dataDir = options.dataDir ?? join(temporaryDirectory(), 'data');
    const clientPort = options.clientPort ?? (await freePort());
    const peerPort = options.peerPort ?? (await freePort());
    return new EtcdServer(options, dataDir, clientPort, peerPort);
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** `host:port` of the client listener. */
  get address(): string {
    return `${this.host}:${this.clientPort}`;
  }

  get clientUrl(): string {
    return `${this.#options.clientScheme ?? 'http'}://${this.address}`;
  }

  get peerUrl(): string {
    return `${this.#options.peerScheme ?? 'http'}://${this.host}:${this.peerPort}`;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Stops it and waits for its end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), PATIENCE_MS);
    this.#child.kill(signal);
    return this.ended.finally(() => clearTimeout(timer));
  }

  /** Ends it as a power failure of the process would. */
  kill(): Promise<Ended> {
    return this.stop('SIGKILL');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Starts a server on the same directory and ports, which must be free by now; maybe another program. */
  restart(changes: EtcdOptions = {}): Promise<EtcdServer> {
    return EtcdServer.start({
      ...this.#options,
      dataDir: this.dataDir,
      clientPort: this.clientPort,
      peerPort: this.peerPort,
      ...changes,
    });
  }

  /** The first line, past or to come, that contains `text`. */
  async waitForLog(text: string, timeoutMs = PATIENCE_MS): Promise<LogLine> {
    const deadline = Date.now() + timeoutMs;
    for (let next = 0; ; ) {
      for (; next < this.log.length; next++) {
        if (this.log[next]!.text.includes(text)) return this.log[next]!;
      }
      const leftMs = deadline - Date.now();
      if (this.#isOver || leftMs <= 0) {
        const why = this.#isOver ? `ended (code ${this.#child.exitCode})` : `no such line in ${timeoutMs} ms`;
        throw new Error(`${this.program}: ${why}, waiting for "${text}"; last lines:\n${this.lastLines()}`);
      }
      await this.#logChange(leftMs);
    }
  }

  lastLines(count = 8): string {
    return this.log
      .slice(-count)
      .map((line) => line.text.slice(0, 500))
      .join('\n');
  }

  /** Releases before 3.5 differ in how they log. */
  get #isOld(): boolean {
    // Asking costs a start of the program; this checkout's is a later one.
    return this.program !== OURS && !atLeast(this.program, 3, 5);
  }

  #args(): string[] {
    const name = this.#options.name ?? 'default';
    const advertised = this.#options.advertisedPeerUrl ?? this.peerUrl;
    const args = [
      `--name=${name}`,
      `--data-dir=${this.dataDir}`,
      `--listen-client-urls=${this.clientUrl}`,
      `--advertise-client-urls=${this.clientUrl}`,
      `--listen-peer-urls=${this.peerUrl}`,
      `--initial-advertise-peer-urls=${advertised}`,
      CHEAP_PASSWORDS,
    ];
    const { initialCluster = `${name}=${advertised}` } = this.#options;
    if (initialCluster !== null) args.push(`--initial-cluster=${initialCluster}`);
    // Before 3.5 the JSON log had to be asked for.
    if (this.#isOld) args.push('--logger=zap');
    return [...args, ...(this.#options.flags ?? [])];
  }

  #readLog(): void {
    let partial = '';
    this.#child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      if (this.#options.keepLog === false && this.log.length > 1000) return;
      this.#stderr += text;
      const lines = (partial + text).split('\n');
      partial = lines.pop()!;
      for (const line of lines) this.log.push(parseLogLine(line));
      this.#notify();
    });
  }

  #logChange(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#logWatchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#logWatchers.add(done);
    });
  }

  #notify(): void {
    for (const watcher of [...this.#logWatchers]) watcher();
  }
}

/** Whether the server looks at its data at its start and its end, as whoever runs the tests has it. */
function verification(): Record<string, string> {
  const { ETCD_VERIFY: value } = process.env;
  return value === undefined ? {} : { ETCD_VERIFY: value };
}

/** A line of the JSON log; a line that is not JSON (a panic's, a runtime's) has only its text. */
function parseLogLine(text: string): LogLine {
  if (text.startsWith('{')) {
    try {
      const fields = JSON.parse(text) as Record<string, unknown>;
      return { level: String(fields['level']), msg: String(fields['msg']), text, fields };
    } catch {
      // Not JSON after all.
    }
  }
  return { level: '', msg: '', text, fields: {} };
}
