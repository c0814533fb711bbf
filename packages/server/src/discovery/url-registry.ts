/**
 * Discovery by a URL (v2): whatever serves etcd's old API over HTTP, as `https://discovery.etcd.io/<token>` did. Below the URL's path are
 * `_config/size` and one key for each member, its id, with the text `name=url,…`.
 */
import type { Clock, Logger } from '@etcd/base';
import { formatId, parseInitialCluster } from '@etcd/storage/membership';
import { DiscoveryError } from './discovery-error.ts';
import { HttpStatusError, type KeysApi, KeysError, type KeysNode } from './keys-api.ts';
import { parseMemberCount } from './member-count.ts';
import { untilAnswered } from './retries.ts';

export interface UrlRegistryOptions {
  readonly url: string;
  readonly keys: KeysApi;
  readonly memberId: bigint;
  readonly ownText: string;
  /** Whether this member may have registered in an earlier run, which it could not finish. */
  readonly mayBeRegistered: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Registry {
  readonly size: number;
  /** In the order in which they came. */
  readonly members: readonly KeysNode[];
  readonly index: number;
}

/** The text of the initial cluster, once all its members have registered. Rejects with {@link DiscoveryError}. */
export async function joinByUrl(options: UrlRegistryOptions): Promise<string> {
  const registration = new Registration(options);
  await registration.look();
  await registration.register();
  const { size, members } = await registration.waitForAll();
  const text = members
    .slice(0, size)
    .map(({ value }) => value)
    .join(',');
  const { cluster, error } = parseInitialCluster(text);
  if (error !== undefined) throw new DiscoveryError('discovery: invalid URL');
  if (cluster.size !== size) throw new DiscoveryError('discovery: found duplicate name');
  return text;
}

class Registration {
  readonly #options: UrlRegistryOptions;
  readonly #logger: Logger;
  readonly #ownName: string;

  constructor(options: UrlRegistryOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ 'discovery-url': options.url });
    this.#ownName = formatId(options.memberId);
  }

  /** Rejects where there is no such cluster, or no room in it for this member. */
  async look(): Promise<Registry> {
    const registry = await this.#untilAnswered('cluster status check', () => this.#read());
    const place = registry.members.findIndex((node) => nameOf(node) === this.#ownName);
    const isOutside = place >= registry.size || (place < 0 && registry.members.length >= registry.size);
    if (isOutside) throw new DiscoveryError('discovery: cluster is full');
    return registry;
  }

  async register(): Promise<void> {
    const { keys, ownText, mayBeRegistered } = this.#options;
    // Not tried again: whoever does not know whether it is registered must not found a cluster with what may be somebody else's id.
    const error = await keys.create(this.#ownName, ownText);
    if (error === null) return;
    const isOwn = mayBeRegistered && (await keys.get(this.#ownName))?.node.value === ownText;
    if (!isOwn) throw new DiscoveryError('discovery: found duplicate id');
  }

  async waitForAll(): Promise<Registry> {
    for (;;) {
      const registry = await this.look();
      const missing = registry.size - registry.members.length;
      for (const node of registry.members) {
        const isOwn = nameOf(node) === this.#ownName;
        const message = `found ${isOwn ? 'self' : 'peer'} from discovery server`;
        this.#logger.info(message, { [isOwn ? 'self' : 'peer']: nameOf(node) });
      }
      if (missing <= 0) {
        this.#logger.info('found all needed peers from discovery server', {
          'found-peers': registry.members.length,
        });
        return registry;
      }
      this.#logger.info('found peers from discovery server; waiting for more', {
        'found-peers': registry.members.length,
        'needed-peers': missing,
      });
      const { keys } = this.#options;
      await this.#untilAnswered('waiting for other nodes', () => keys.change(registry.index + 1));
    }
  }

  async #read(): Promise<Registry> {
    const { keys } = this.#options;
    const sizeNode = await keys.get('_config/size');
    if (sizeNode === null) throw new DiscoveryError('discovery: size key not found');
    const size = parseMemberCount(sizeNode.node.value);
    if (size === null) throw new DiscoveryError('discovery: size key is bad');
    const directory = await keys.get('');
    const members = (directory?.node.nodes ?? [])
      .filter((node) => nameOf(node) !== '_config')
      .sort((a, b) => a.createdIndex - b.createdIndex);
    return { size, members, index: directory?.index ?? 0 };
  }

  #untilAnswered<T>(step: string, attempt: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    return untilAnswered({ clock, logger: this.#logger, step, passes: passesByItself }, attempt);
  }
}

/** A service that is not there, or not well; but not one that says no, or that is none. */
function passesByItself(error: unknown): boolean {
  if (error instanceof DiscoveryError || error instanceof KeysError) return false;
  return !(error instanceof HttpStatusError) || error.status >= 500;
}

function nameOf({ key }: KeysNode): string {
  return key.slice(key.lastIndexOf('/') + 1);
}
