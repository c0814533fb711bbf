/** How a member that starts finds the cluster that it is to found, where its configuration does not list it. */
import type { Clock, Disk, Logger } from '@etcd/base';
import { type LookUpSrv, lookUpAddress, lookUpSrv } from '@etcd/host/net';
import { walDirectory } from '@etcd/storage/data';
import { walExists } from '@etcd/storage/wal';
import type { Discover } from '../boot/index.ts';
import { type Config, type DiscoveryConfig, MemberStartError } from '../config/index.ts';
import type { RegistryConfig } from '../discovery/index.ts';

export interface ClusterFindingOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  /** Asks the name servers of the machine unless given. */
  readonly lookUp?: LookUpSrv | undefined;
}

type SrvConfig = Extract<DiscoveryConfig, { kind: 'srv' }>;

export class ClusterFinding {
  /**
   * The text of the initial cluster, by the records of a domain, which are looked up once; null: nobody asks for that. Rejects with
   * {@link MemberStartError}.
   */
  readonly listMembers: (() => Promise<string>) | null;
  /** null: nobody asks for that. Rejects with {@link MemberStartError}. */
  readonly discover: Discover | null;
  readonly #options: ClusterFindingOptions;
  #listed: Promise<string> | null = null;

  constructor(options: ClusterFindingOptions) {
    this.#options = options;
    const { discovery } = options.config;
    this.listMembers = discovery?.kind === 'srv' ? () => (this.#listed ??= this.#membersOf(discovery)) : null;
    this.discover = discovery === null || discovery.kind === 'srv' ? null : this.#discovererAt(discovery);
  }

  /**
   * The configuration with what the records of a domain say. A member that has a log does not look: it knows where it belongs, and a name
   * server that is down does not keep it from that.
   */
  async configure(): Promise<Config> {
    const { config, disk } = this.#options;
    const { discovery, tls } = config;
    if (this.listMembers === null || walExists(disk, walDirectory(config))) return config;
    const initialCluster = await this.listMembers();
    // As in etcd: without an authority of its own, a cluster of a domain is one whose certificates are for the domain.
    const isForDomain = initialCluster.includes('https://') && tls.peer.trustedCaFile === '';
    const serverName = isForDomain && discovery?.kind === 'srv' ? discovery.domain : tls.peer.serverName;
    return { ...config, initialCluster, tls: { ...tls, peer: { ...tls.peer, serverName } } };
  }

  async #membersOf({ domain, serviceName }: SrvConfig): Promise<string> {
    const { DiscoveryError, peersFromSrv } = await import('../discovery/index.ts');
    const { config, logger, lookUp = lookUpSrv } = this.#options;
    const { name, initialAdvertisePeerUrls: advertisePeerUrls } = config;
    try {
      return await peersFromSrv({
        domain,
        serviceName,
        name,
        advertisePeerUrls,
        lookUp,
        resolveHost: lookUpAddress,
        logger: logger.child({ caller: 'server/discovery' }),
      });
    } catch (error) {
      if (!(error instanceof DiscoveryError)) throw error;
      throw new MemberStartError(`error setting up initial cluster: ${error.message}`, { cause: error });
    }
  }

  #discovererAt(config: RegistryConfig): Discover {
    const { clock } = this.#options;
    const logger = this.#options.logger.child({ caller: 'server/discovery' });
    return async (memberId, ownText, mayBeRegistered) => {
      const { DiscoveryError, discover } = await import('../discovery/index.ts');
      if (config.kind === 'url') logger.warn('V2 discovery is deprecated!');
      else logger.info('Bootstrapping cluster using v3 discovery.');
      try {
        const cluster = await discover({ config, memberId, ownText, mayBeRegistered, clock, logger });
        logger.info('discovery joined cluster successfully', { cluster });
        return cluster;
      } catch (error) {
        if (!(error instanceof DiscoveryError)) throw error;
        throw new MemberStartError(`failed to join discovery cluster (${error.message})`, { cause: error });
      }
    };
  }
}
