/**
 * A rehearsal: a member is made of a snapshot and started, where only this process reaches it (sockets in a private directory), and asked
 * for the revision, the hash of the keys and their number. It is a process of its own, the program `etcd` that operators start.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BackupError, type BackupMetadata } from '@etcd/backup';
import type { EtcdClient } from '@etcd/client';
import { connect } from '@etcd/client/node';

export interface Rehearsal {
  readonly revision: number;
  /** At the revision of the backup, unless that is compacted; null where users and their passwords came with it, and it tells strangers nothing. */
  readonly keys: number | null;
  /** The hash that the member gave; null where it was not asked for one. It was compared. */
  readonly hash: number | null;
}

export interface RehearsalOptions {
  /** It was compared with its digest, and becomes the member's. */
  readonly snapshotPath: string;
  readonly metadata: BackupMetadata;
  /** False where a compaction came between the hash and the snapshot. */
  readonly isHashCompared: boolean;
  /** A private directory, in which the snapshot lies. */
  readonly directory: string;
  /** The program. */
  readonly program: string;
  readonly signal: AbortSignal;
}

const NAME = 'rehearsal';
const POLL_MS = 50;
/** What a member said at the end of its log, for whoever has to find out why it ended. */
const MAX_LOG_BYTES = 16 * 1024;
const USER_EMPTY = /user name is empty|permission denied/;

/** The `etcd` that came with this program. */
export function ownEtcd(): string {
  const root = import.meta.url.endsWith('.ts') ? '../../../../' : '../';
  return fileURLToPath(new URL(`${root}bin/etcd`, import.meta.url));
}

/** Throws {@link BackupError}; leaves neither files nor processes behind. */
export async function rehearse(options: RehearsalOptions): Promise<Rehearsal> {
  const { directory, program, signal, snapshotPath } = options;
  if (!existsSync(program)) throw new BackupError(`there is no ${program} to rehearse with: see --etcd`);
  const dataDir = join(directory, NAME);
  const { restoreAlone } = await import('@etcd/etcdutl/snapshot');
  await restoreAlone(snapshotPath, dataDir, NAME);
  signal.throwIfAborted();
  const member = new ScratchMember(program, directory, dataDir);
  const client = connect({ endpoints: [`unix://${member.socket}`] });
  try {
    await member.serving(client, signal);
    return await compare(client, options);
  } finally {
    client.close();
    await member.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function compare(client: EtcdClient, options: RehearsalOptions): Promise<Rehearsal> {
  const { metadata, isHashCompared, signal } = options;
  const { enabled, header } = await client.auth.status({ signal });
  const found = header?.revision ?? 0;
  const differs = (what: string, is: number, expected: number): never => {
    const when = `${what} at revision ${metadata.revision}`;
    throw new BackupError(`${metadata.name}: ${when} is ${is} in a member made of it, not ${expected}`);
  };
  // Such a member has proven that it starts; its keys were read from the file.
  if (enabled) return { revision: found, keys: null, hash: null };
  if (found < metadata.revision) differs('the revision', found, metadata.revision);
  const { revision } = metadata;
  let hash: number | null = null;
  if (isHashCompared) {
    ({ hash } = await client.maintenance.hashKv(revision, { signal, timeoutMs: 0 }));
    if (hash !== metadata.hash) differs('the hash', hash, metadata.hash);
  }
  const everything = { prefix: true, countOnly: true, serializable: true };
  // What was compacted in between can't be asked about.
  const at = isHashCompared ? { revision } : {};
  const { count } = await client.kv.get('', { ...everything, ...at, signal, timeoutMs: 0 });
  if (isHashCompared && metadata.keys !== undefined && count !== metadata.keys) {
    differs('the number of keys', count, metadata.keys);
  }
  return { revision: found, keys: count, hash };
}

class ScratchMember {
  readonly socket: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  #log = '';
  #hasEnded = false;

  constructor(program: string, directory: string, dataDir: string) {
    // Names of sockets have a limit of about a hundred characters.
    this.socket = join(directory, 'c');
    const peerUrl = 'http://localhost:2380';
    const flags = {
      name: NAME,
      'data-dir': dataDir,
      'listen-client-urls': `unix://${this.socket}`,
      'advertise-client-urls': `unix://${this.socket}`,
      'listen-peer-urls': `unix://${join(directory, 'p')}`,
      'initial-advertise-peer-urls': peerUrl,
      'initial-cluster': `${NAME}=${peerUrl}`,
      'initial-cluster-token': NAME,
      'heartbeat-interval': '10',
      'election-timeout': '100',
      'quota-backend-bytes': '-1',
    };
    const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
    // What is set for a member of this machine is not meant for this one.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ETCD_')));
    this.#process = spawn(program, args, { env, cwd: directory, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#log = (this.#log + text).slice(-MAX_LOG_BYTES);
    });
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        this.#hasEnded = true;
        resolve();
      };
      this.#process.once('close', end);
      this.#process.once('error', (error) => {
        this.#log += `\n${error.message}`;
        end();
      });
    });
  }

  /** Resolves when it serves. */
  async serving(client: EtcdClient, signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#hasEnded) {
        throw new BackupError(`a member made of the backup does not start: ${lastLine(this.#log)}`);
      }
      try {
        await client.auth.status({ signal });
        return;
      } catch (error) {
        if (USER_EMPTY.test((error as Error).message)) return;
      }
      await sleep(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    if (!this.#hasEnded) this.#process.kill('SIGKILL');
    await this.#ended;
  }
}

function lastLine(log: string): string {
  return log.trim().split('\n').at(-1) || 'it says nothing';
}
