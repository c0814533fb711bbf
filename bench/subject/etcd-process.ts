/** An etcd server, any program, as a child process with a data directory of its own. Ended by its id, never by name. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRangeRequest, RangeRequest } from '@etcd/api/etcdserverpb';
import { type ClientFiles, callOnce, openChannel, secureTarget } from '../load/connect.ts';
import { RANGE } from '../load/request-source.ts';
import type { DiskLimit } from './disk-limit.ts';
import { freePorts } from './ports.ts';

/** A server that has just been started is asked so often whether it answers. */
const POLL_MS = 2;
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 60_000;
const LOG_TAIL_BYTES = 2_000;

const living = new Set<ChildProcess>();
const directories = new Set<string>();
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

export interface MemberAddress {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

export async function memberAddresses(count: number): Promise<MemberAddress[]> {
  const ports = await freePorts(2 * count);
  return Array.from({ length: count }, (_, i) => ({
    name: `m${i}`,
    clientPort: ports[2 * i]!,
    peerPort: ports[2 * i + 1]!,
  }));
}

export class EtcdProcess {
  readonly address: MemberAddress;
  readonly directory: string;
  readonly #program: string;
  readonly #flags: readonly string[];
  readonly #tls: ClientFiles | null;
  readonly #nodeOptions: string;
  #diskLimit: DiskLimit | null = null;
  #child: ChildProcess;
  #exited: Promise<void>;

  private constructor(
    program: string,
    address: MemberAddress,
    peers: readonly MemberAddress[],
    tls: ClientFiles | null,
    nodeOptions: string,
    flags: readonly string[],
  ) {
    this.#program = program;
    this.#tls = tls;
    this.#nodeOptions = nodeOptions;
    this.address = address;
    this.directory = mkdtempSync(join(tmpdir(), 'etcd-bench-'));
    directories.add(this.directory);
    this.#flags = [...flagsOf(address, peers, join(this.directory, 'data'), tls), ...flags];
    this.#child = this.#spawn();
    this.#exited = exitOf(this.#child);
  }

  /** Starts a member without waiting for it; with files, everything is on TLS and both sides show certificates. */
  static launch(
    program: string,
    address: MemberAddress,
    peers: readonly MemberAddress[],
    tls: ClientFiles | null = null,
    nodeOptions = '',
    flags: readonly string[] = [],
  ): EtcdProcess {
    return new EtcdProcess(program, address, peers, tls, nodeOptions, flags);
  }

  /** Starts a single member and waits until it answers. `nodeOptions` reach Node through our launcher; `flags` come behind all others. */
  static async start(
    program: string,
    tls: ClientFiles | null = null,
    nodeOptions = '',
    flags: readonly string[] = [],
  ): Promise<EtcdProcess> {
    const [address] = await memberAddresses(1);
    const server = EtcdProcess.launch(program, address!, [address!], tls, nodeOptions, flags);
    await server.answers();
    return server;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** `host:port` for clients. */
  get target(): string {
    const address = `127.0.0.1:${this.address.clientPort}`;
    return this.#tls === null ? address : secureTarget(address, this.#tls);
  }

  /** Resolves as soon as a linearizable Range of `key` is answered. */
  async answers(key = 'any'): Promise<void> {
    const request = encodeRangeRequest(new RangeRequest({ key: Buffer.from(key) }));
    const deadlineMs = performance.now() + READY_TIMEOUT_MS;
    while (!(await this.#answersOnce(request))) {
      if (this.#child.exitCode !== null || performance.now() > deadlineMs) {
        throw new Error(`${this.#program} does not answer; its log ends with:\n${this.#logTail()}`);
      }
      await sleep(POLL_MS);
    }
  }

  /** Ends it: with `SIGTERM` in order, with `SIGKILL` as a crash does. Resolves when it has ended. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    this.#child.kill(signal);
    await this.#exited;
    clearTimeout(timer);
  }

  /** Starts it again on its data, without waiting for it. */
  relaunch(): void {
    this.#child = this.#spawn();
    this.#exited = exitOf(this.#child);
  }

  /** What it writes from now on is limited, also after a {@link relaunch}. The limit is removed when it is disposed of. */
  limitDisk(limit: DiskLimit): void {
    this.#diskLimit = limit;
    limit.add(this.pid);
  }

  /** Ends it, in order so that a profiler can write what it has seen, and removes its data. */
  async dispose(): Promise<void> {
    await this.stop();
    this.#diskLimit?.remove();
    rmSync(this.directory, { recursive: true, force: true });
    directories.delete(this.directory);
  }

  async #answersOnce(request: Uint8Array): Promise<boolean> {
    try {
      const channel = await openChannel(this.target);
      try {
        await callOnce(channel, RANGE, request, READY_TIMEOUT_MS);
        return true;
      } finally {
        channel.close();
      }
    } catch {
      return false;
    }
  }

  #spawn(): ChildProcess {
    const log = openSync(join(this.directory, 'log'), 'a');
    const child = spawn(this.#program, this.#flags, {
      cwd: this.directory,
      env: serverEnvironment(this.#nodeOptions),
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    if (child.pid !== undefined) this.#diskLimit?.add(child.pid);
    living.add(child);
    return child;
  }

  #logTail(): string {
    return readFileSync(join(this.directory, 'log'), 'utf8').slice(-LOG_TAIL_BYTES);
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', () => {
      living.delete(child);
      resolve();
    });
  });
}

/** Both programs get the same. The quota is the highest that etcd recommends: some cases hold more than the default. */
function flagsOf(
  address: MemberAddress,
  peers: readonly MemberAddress[],
  dataDirectory: string,
  tls: ClientFiles | null,
): readonly string[] {
  const scheme = tls === null ? 'http' : 'https';
  const clientUrl = `${scheme}://127.0.0.1:${address.clientPort}`;
  const peerUrl = (member: MemberAddress): string => `${scheme}://127.0.0.1:${member.peerPort}`;
  return [
    `--name=${address.name}`,
    `--data-dir=${dataDirectory}`,
    `--listen-client-urls=${clientUrl}`,
    `--advertise-client-urls=${clientUrl}`,
    `--listen-peer-urls=${peerUrl(address)}`,
    `--initial-advertise-peer-urls=${peerUrl(address)}`,
    `--initial-cluster=${peers.map((peer) => `${peer.name}=${peerUrl(peer)}`).join(',')}`,
    `--quota-backend-bytes=${8 * 1024 ** 3}`,
    '--log-level=warn',
    ...(tls === null ? [] : [...tlsFlags('', tls), ...tlsFlags('peer-', tls)]),
  ];
}

function tlsFlags(prefix: '' | 'peer-', { certFile, keyFile, caFile }: ClientFiles): readonly string[] {
  return [
    `--${prefix}cert-file=${certFile}`,
    `--${prefix}key-file=${keyFile}`,
    `--${prefix}trusted-ca-file=${caFile}`,
    `--${prefix}client-cert-auth`,
  ];
}

/** Ours without what would configure an etcd; what is meant for our launcher stays, for profiles. */
function serverEnvironment(nodeOptions: string): NodeJS.ProcessEnv {
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !(name.startsWith('ETCD_') || name === 'NODE_OPTIONS')),
  );
  return {
    ...environment,
    ETCD_NODE_OPTIONS: `${process.env['ETCD_NODE_OPTIONS'] ?? ''} ${nodeOptions}`.trim(),
  };
}
