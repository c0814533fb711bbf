/**
 * Discovery by another etcd (v3): below `/_etcd/registry/<token>` it has the number of members, `_config/size`, which somebody put there,
 * and what the members themselves put: `members/<id>`, the text `name=url,…` of each. Those who come first are the cluster.
 */
import { EtcdError } from '@etcd/api';
import { type Clock, GrpcCode, type Logger } from '@etcd/base';
import { ClientError, CompactedError, type EtcdClient } from '@etcd/client';
import { formatId, parseInitialCluster } from '@etcd/storage/membership';
import { DiscoveryError } from './discovery-error.ts';
import { parseMemberCount } from './member-count.ts';
import { untilAnswered } from './retries.ts';

export interface EtcdRegistryOptions {
  readonly client: Pick<EtcdClient, 'kv' | 'watch' | 'authenticate'>;
  readonly token: string;
  /** Whether a name and a password are given: what the service says to them is final. */
  readonly hasCredentials: boolean;
  readonly memberId: bigint;
  /** What the others are told: `name=url,…`. */
  readonly ownText: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Registered {
  readonly key: string;
  readonly text: string;
  readonly createRevision: number;
}

interface Registry {
  readonly size: number;
  /** In the order in which they came. */
  readonly members: readonly Registered[];
  readonly revision: number;
}

const PREFIX = '/_etcd/registry';

/** The text of the initial cluster, once all its members have registered. Rejects with {@link DiscoveryError}. */
export async function joinByEtcd(options: EtcdRegistryOptions): Promise<string> {
  const registration = new Registration(options);
  if (options.hasCredentials) await registration.authenticate();
  await registration.look();
  await registration.register();
  const { size, members } = await registration.waitForAll();
  const texts = members.slice(0, size).map(({ text }) => text);
  const cluster = texts.join(',');
  if (parseInitialCluster(cluster).error !== undefined)
    throw new DiscoveryError('discovery: invalid peer URL');
  return cluster;
}

class Registration {
  readonly #options: EtcdRegistryOptions;
  readonly #logger: Logger;
  readonly #directory: string;
  readonly #ownKey: string;

  constructor(options: EtcdRegistryOptions) {
    this.#options = options;
    const { token, memberId } = options;
    this.#logger = options.logger.child({ 'discovery-token': token });
    this.#directory = `${PREFIX}/${token}`;
    this.#ownKey = `${this.#directory}/members/${formatId(memberId)}`;
  }

  authenticate(): Promise<void> {
    const { client } = this.#options;
    return this.#untilAnswered('authentication', () => client.authenticate());
  }

  /** Rejects where there is no such cluster, or no room in it for this member. */
  async look(): Promise<Registry> {
    const registry = await this.#untilAnswered('cluster status check', () => this.#read());
    const place = registry.members.findIndex(({ key }) => key === this.#ownKey);
    const isOutside = place >= registry.size || (place < 0 && registry.members.length >= registry.size);
    if (isOutside) throw new DiscoveryError('discovery: cluster is full');
    return registry;
  }

  async register(): Promise<void> {
    const { client, ownText } = this.#options;
    await this.#untilAnswered('register member itself', () => client.kv.put(this.#ownKey, ownText));
    this.#logger.info('register member itself successfully', {
      memberKey: this.#ownKey,
      memberInfo: ownText,
    });
  }

  async waitForAll(): Promise<Registry> {
    for (;;) {
      const registry = await this.look();
      const { size, members, revision } = registry;
      if (members.length >= size) {
        this.#logger.info('found all needed peers from discovery service', {
          clusterSize: size,
          'found-peers': members.length,
        });
        return registry;
      }
      this.#logger.info('waiting for peers from discovery service', {
        clusterSize: size,
        'found-peers': members.length,
      });
      await this.#change(revision + 1);
    }
  }

  async #read(): Promise<Registry> {
    const { kv } = this.#options.client;
    const sizeKey = await kv.getOne(`${this.#directory}/_config/size`);
    if (sizeKey === null) throw new DiscoveryError('discovery: size key not found');
    const size = parseMemberCount(textOf(sizeKey.value));
    if (size === null) throw new DiscoveryError('discovery: size key is bad');
    const { kvs, header } = await kv.get(`${this.#directory}/members/`, { prefix: true });
    const members = kvs
      .map(({ key, value, createRevision }) => ({
        key: textOf(key).trim(),
        text: textOf(value).trim(),
        createRevision,
      }))
      .filter(({ key, text }) => this.#isMember(key, text))
      .sort((a, b) => a.createRevision - b.createRevision);
    return { size, members, revision: header?.revision ?? 0 };
  }

  #isMember(memberKey: string, memberInfo: string): boolean {
    const isOne = memberInfo.includes('=');
    if (isOne) this.#logger.info('found peer from discovery service', { memberKey, memberInfo });
    else this.#logger.warn('invalid peer info returned from discovery service', { memberKey, memberInfo });
    return isOne;
  }

  /** Resolves when something has changed from `startRevision` on, or may have. */
  #change(startRevision: number): Promise<void> {
    const { client } = this.#options;
    return this.#untilAnswered('waiting for other nodes', async () => {
      const watcher = client.watch(`${this.#directory}/members/`, { prefix: true, startRevision });
      try {
        for await (const { events } of watcher) if (events.length > 0) return;
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error;
      }
    });
  }

  #untilAnswered<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    return untilAnswered({ clock, logger: this.#logger, step, passes: passesByItself }, attempt);
  }
}

/** What the service says to whoever asks for what he may not, or for what it does not have: asking again changes nothing. */
const FINAL_CODES: ReadonlySet<number> = new Set([
  GrpcCode.InvalidArgument,
  GrpcCode.PermissionDenied,
  GrpcCode.Unauthenticated,
  GrpcCode.Unimplemented,
]);

function passesByItself(error: unknown): boolean {
  if (error instanceof EtcdError) return !FINAL_CODES.has(error.code);
  return error instanceof ClientError && error.code === 'protocol';
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}
