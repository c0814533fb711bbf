/** `etcd grpc-proxy` of any program before a server, as a child process. Ended by its id, never by name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRangeRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { callOnce, openChannel } from '../load/connect.ts';
import { RANGE } from '../load/request-source.ts';
import { freePorts } from './ports.ts';

const POLL_MS = 20;
const READY_TIMEOUT_MS = 120_000;
const CALL_TIMEOUT_MS = 5_000;

const living = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});

export class ProxyProcess {
  /** `host:port` for clients. */
  readonly target: string;
  readonly #child: ChildProcess;
  readonly #directory: string;
  readonly #ended: Promise<unknown>;

  private constructor(program: string, server: string, port: number) {
    this.target = `127.0.0.1:${port}`;
    this.#directory = mkdtempSync(join(tmpdir(), 'etcd-bench-'));
    const flags = [
      `--endpoints=${server}`,
      `--listen-addr=${this.target}`,
      `--advertise-client-url=${this.target}`,
    ];
    this.#child = spawn(program, ['grpc-proxy', 'start', ...flags], {
      cwd: this.#directory,
      stdio: 'ignore',
    });
    living.add(this.#child);
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  /** Starts it and waits until it answers. */
  static async start(program: string, server: string): Promise<ProxyProcess> {
    const [port] = await freePorts(1);
    const proxy = new ProxyProcess(program, server, port!);
    for (const deadlineMs = performance.now() + READY_TIMEOUT_MS; !(await proxy.#answers()); ) {
      if (proxy.#child.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`${program} grpc-proxy does not answer`);
      }
      await sleep(POLL_MS);
    }
    return proxy;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async dispose(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#ended;
    living.delete(this.#child);
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #answers(): Promise<boolean> {
    const request = encodeRangeRequest(new RangeRequest({ key: Buffer.from('any') }));
    try {
      const channel = await openChannel(this.target);
      try {
        await callOnce(channel, RANGE, request, CALL_TIMEOUT_MS);
        return true;
      } finally {
        channel.close();
      }
    } catch {
      return false;
    }
  }
}
