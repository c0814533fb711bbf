/** A member in a static pod, as kubeadm or `etcdadm init` have written it. Another program is another image. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ClusterError } from '../cluster/cluster-error.ts';
import { readIfThere, writeWhole } from '../cluster/files.ts';
import { pause } from '../cluster/guarded.ts';
import { removeFile } from '../cluster/service.ts';
import type { Exchange, MemberHost, Program } from './member-host.ts';

const STATE_DIR = '/var/lib/etcdadm';
const STATE_FILE = 'migrate-pod.json';
const STATE_MODE = 0o600;
const POD_END_MS = 120_000;
const POLL_MS = 200;

interface Saved {
  readonly original: string;
  readonly program: string;
  readonly memberId: string;
  readonly others: readonly string[];
}

export class KubeletHost implements MemberHost {
  readonly title: string;
  readonly #manifest: string;
  readonly #state: string;
  /** Of the member for clients: it answers as long as the pod runs. */
  readonly #endpoint: string;
  constructor(manifest: string, endpoint: string, stateDir: string = STATE_DIR) {
    this.#manifest = manifest;
    this.#endpoint = endpoint;
    this.#state = join(stateDir, STATE_FILE);
    this.title = `static pod ${manifest}`;
  }

  async original(): Promise<string> {
    return this.#saved()?.original ?? imageOf(this.#text());
  }

  exchange(): Exchange | null {
    const saved = this.#saved();
    return saved === null || saved.program === saved.original
      ? null
      : { program: saved.program, memberId: BigInt(saved.memberId), others: saved.others };
  }

  async setExchange(exchange: Exchange | null): Promise<void> {
    const original = await this.original();
    withImage(this.#text(), exchange?.program ?? original);
    const memberId = exchange?.memberId.toString() ?? this.#saved()?.memberId ?? '0';
    // What the original was is known before it is gone.
    const others = exchange?.others ?? this.#saved()?.others ?? [];
    const saved: Saved = { original, program: exchange?.program ?? original, memberId, others };
    writeWhole(this.#state, `${JSON.stringify(saved, null, 2)}\n`, STATE_MODE);
  }

  describe(program: string): Promise<Program> {
    if (!/^[a-z0-9.:/@_-]+:[\w.-]+$/i.test(program)) {
      throw new ClusterError(`a pod wants an image with its tag, not ${JSON.stringify(program)}`);
    }
    const version = /:v?(\d+\.\d+\.\d+)[^/]*$/.exec(program)?.[1] ?? null;
    return Promise.resolve({ name: program, version, isOurs: null });
  }

  isActive(): Promise<boolean> {
    return Promise.resolve(readIfThere(this.#manifest) !== null);
  }

  /** The manifest waits beside the state, so that whoever is killed now finds it again. */
  async stop(signal: AbortSignal): Promise<void> {
    writeWhole(this.#held, this.#text(), STATE_MODE);
    removeFile(this.#manifest);
    const deadline = Date.now() + POD_END_MS;
    while (await isListening(this.#endpoint)) {
      if (Date.now() > deadline)
        throw new ClusterError(`the kubelet has not ended the pod: ${this.#endpoint} still answers`);
      await pause(POLL_MS, signal);
    }
  }

  start(): Promise<void> {
    const saved = this.#saved();
    const text = this.#text();
    writeWhole(this.#manifest, saved === null ? text : withImage(text, saved.program), STATE_MODE);
    removeFile(this.#held);
    if (saved !== null && saved.program === saved.original) removeFile(this.#state);
    return Promise.resolve();
  }

  get #held(): string {
    return `${this.#state}.manifest`;
  }

  #text(): string {
    const text = readIfThere(this.#manifest) ?? readIfThere(this.#held);
    if (text === null) throw new ClusterError(`there is no ${this.#manifest}`);
    return text;
  }

  #saved(): Saved | null {
    const text = readIfThere(this.#state);
    return text === null ? null : (JSON.parse(text) as Saved);
  }
}

interface Pod {
  readonly spec?: { readonly containers?: readonly { readonly name?: string; readonly image?: string }[] };
}

/** Of the container etcd. */
export function imageOf(manifest: string): string {
  let pod: Pod | null;
  try {
    pod = parse(manifest) as Pod | null;
  } catch (error) {
    throw new ClusterError(`the manifest can not be read: ${(error as Error).message.split('\n', 1)[0]}`);
  }
  const image = pod?.spec?.containers?.find(({ name }) => name === 'etcd')?.image;
  if (image === undefined) throw new ClusterError('the manifest has no container etcd with an image');
  return image;
}

/** Everything else stays, to the byte. */
export function withImage(manifest: string, image: string): string {
  const old = imageOf(manifest);
  const lines = manifest.split('\n');
  const at = lines.findIndex((line) => /^\s*(- )?image:/.test(line) && line.includes(old));
  if (at >= 0) lines[at] = `${lines[at]!.slice(0, lines[at]!.indexOf('image:'))}image: ${image}`;
  const changed = lines.join('\n');
  if (imageOf(changed) !== image)
    throw new ClusterError(`the image ${old} of the manifest can not be exchanged`);
  return changed;
}

function isListening(endpoint: string): Promise<boolean> {
  const { hostname, port } = new URL(endpoint);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) });
    const end = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => end(true)).once('error', () => end(false));
  });
}
