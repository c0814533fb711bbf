/** What runs the member on this host: systemd by a unit, or a kubelet by a static pod. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ClusterError } from './cluster-error.ts';
import { environmentText, type InitialCluster, memberVariables } from './environment.ts';
import { writeWhole } from './files.ts';
import { pause } from './guarded.ts';
import { CLIENT_PORT, PLACES, placed, type Settings } from './settings.ts';
import { podPath, podText } from './static-pod.ts';
import { unitText } from './unit.ts';

export interface Service {
  /** For people: what it is that runs. */
  readonly title: string;
  isActive(): Promise<boolean>;
  /** Writes what it is started from. Changes nothing that runs. */
  configure(initial: InitialCluster): void;
  /** Resolves when it has been told to; a unit's when the member has joined its cluster. */
  start(): Promise<void>;
  /** Resolves when it does not run any more, and will not after a start of the host. */
  stop(signal: AbortSignal): Promise<void>;
  /** What {@link configure} wrote is gone afterwards. Returns the paths. */
  remove(): string[];
}

export function serviceOf(settings: Settings): Service {
  return settings.initSystem === 'systemd' ? new SystemdService(settings) : new KubeletService(settings);
}

const UNIT = 'etcd.service';

class SystemdService implements Service {
  readonly title = `unit ${UNIT}`;
  readonly #settings: Settings;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  async isActive(): Promise<boolean> {
    // Another root's units are not those of the system that runs.
    if (this.#settings.rootfs !== '') return false;
    const { code } = await runCommand('systemctl', ['is-active', '--quiet', UNIT]);
    return code === 0;
  }

  configure(initial: InitialCluster): void {
    const variables = environmentText(memberVariables(this.#settings, initial));
    writeWhole(placed(this.#settings, PLACES.environment), variables, 0o600);
    writeWhole(placed(this.#settings, PLACES.unit), unitText(this.#settings), 0o644);
  }

  async start(): Promise<void> {
    if (this.#settings.rootfs !== '') {
      throw new ClusterError(
        '[service] a unit under another root can not be started: run the phase start on the host',
      );
    }
    await systemctl('daemon-reload');
    await systemctl('enable', UNIT);
    await systemctl('start', UNIT);
  }

  async stop(): Promise<void> {
    if (this.#settings.rootfs !== '' || !existsSync(placed(this.#settings, PLACES.unit))) return;
    await systemctl('disable', '--now', UNIT);
  }

  remove(): string[] {
    return [PLACES.unit, PLACES.environment].filter((path) => removeFile(placed(this.#settings, path)));
  }
}

async function systemctl(...args: string[]): Promise<void> {
  const { code, output } = await runCommand('systemctl', args);
  if (code === 0) return;
  const reason = output.trim().split('\n').at(-1);
  throw new ClusterError(
    `[service] systemctl ${args.join(' ')} failed: ${reason}; see journalctl -u ${UNIT}`,
  );
}

/** How long a kubelet may take to end a pod whose manifest has gone. */
const POD_END_MS = 120_000;
const POD_PAUSE_MS = 200;

class KubeletService implements Service {
  readonly title: string;
  readonly #settings: Settings;
  #manifest: string | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.title = `static pod ${podPath(settings)}`;
  }

  get #path(): string {
    return placed(this.#settings, podPath(this.#settings));
  }

  isActive(): Promise<boolean> {
    return Promise.resolve(existsSync(this.#path));
  }

  /** The variables are written as well: they say what an interrupted run was about. */
  configure(initial: InitialCluster): void {
    const variables = environmentText(memberVariables(this.#settings, initial));
    writeWhole(placed(this.#settings, PLACES.environment), variables, 0o600);
    this.#manifest = podText(this.#settings, initial);
  }

  start(): Promise<void> {
    if (this.#manifest === null)
      throw new ClusterError('[service] the pod has to be configured before it can be started');
    mkdirSync(placed(this.#settings, this.#settings.dataDir), { recursive: true, mode: 0o700 });
    writeWhole(this.#path, this.#manifest, 0o600);
    return Promise.resolve();
  }

  async stop(signal: AbortSignal): Promise<void> {
    removeFile(this.#path);
    const deadline = Date.now() + POD_END_MS;
    while (await isListening(this.#settings.address)) {
      if (Date.now() > deadline) {
        throw new ClusterError(
          `[service] the kubelet has not ended the pod: ${this.#settings.clientUrl} still answers`,
        );
      }
      await pause(POD_PAUSE_MS, signal);
    }
  }

  remove(): string[] {
    const { environment } = PLACES;
    const removed = removeFile(placed(this.#settings, environment)) ? [environment] : [];
    return removeFile(this.#path) ? [...removed, podPath(this.#settings)] : removed;
  }
}

export function removeFile(path: string): boolean {
  if (!existsSync(path)) return false;
  rmSync(path);
  return true;
}

function isListening(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: CLIENT_PORT });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}

interface Finished {
  readonly code: number;
  readonly output: string;
}

/** Of a program's output the end is kept. */
const MAX_OUTPUT_CHARS = 64 * 1024;

/** Rejects with a {@link ClusterError} where there is no such program. */
export function runCommand(program: string, args: readonly string[]): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (text: string): void => {
      output = (output + text).slice(-MAX_OUTPUT_CHARS);
    };
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', (error: NodeJS.ErrnoException) => {
      const reason = error.code === 'ENOENT' ? 'no such program' : error.message;
      reject(new ClusterError(`[service] ${program}: ${reason}`));
    });
    child.once('close', (code, signal) => resolve({ code: code ?? (signal === null ? 1 : 128), output }));
  });
}

/** The program behind a name in a directory of programs. */
export function installedProgram({ installDir, rootfs }: Settings, name: string): string {
  return placed({ rootfs }, join(installDir, name));
}
