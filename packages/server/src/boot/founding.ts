/**
 * How a member without a log begins: who founds the cluster with it, or which cluster it joins, as far as that can be known, and whether this
 * member may. Nothing is written here.
 */
import type { ClusterId, MemberId } from '@etcd/api';
import { type Clock, type Logger, urlTexts } from '@etcd/base';
import {
  type BootstrapPeer,
  bootstrapPeers,
  bootstrapProblem,
  formatId,
  formatInitialCluster,
  type InitialCluster,
  isCompatibleWithCluster,
  joinCluster,
  joinProblem,
  type Member,
  type Membership,
  MembershipError,
  newCluster,
  parseInitialCluster,
  parseVersion,
  type ResolveHost,
  resolvedUrlText,
} from '@etcd/storage/membership';
import { type Config, ETCD_VERSION, MemberStartError } from '../config/index.ts';
import type { PeerNetwork } from '../peer/index.ts';
import { type RemoteCluster, RemoteMembers } from './remote-cluster.ts';

export interface FoundingOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For comparing URLs that name a host with those that name an address. */
  readonly resolveHost: ResolveHost;
  /** For asking other members before there is a member here. */
  readonly network: PeerNetwork;
  /** The text of the initial cluster, where the configuration does not have it but a domain. */
  readonly listMembers: (() => Promise<string>) | null;
  /** Finds the others where nobody lists them; null: they are listed. */
  readonly discover: Discover | null;
}

/**
 * Registers a member with its peer URLs, `name=url,…`, and comes back with the text of the initial cluster. Rejects with a {@link MemberStartError}.
 *
 * @param mayBeRegistered whether an earlier run may have done that already
 */
export type Discover = (memberId: MemberId, ownText: string, mayBeRegistered: boolean) => Promise<string>;

/** Founders that start together ask each other before any of them can answer: as in etcd, they don't wait for long. */
const FOUNDING_TIMEOUT_MS = 1000;
const JOINING_TIMEOUT_MS = 10_000;

/** How a member without a log begins. */
export interface Founding {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  /** What the log of every founder begins with; none for a member that joins: its log comes from the leader. */
  readonly peers: readonly BootstrapPeer[];
  readonly otherMembers: readonly Member[];
}

/**
 * Who the first members are, or which cluster is joined, if this member may do either as it is configured.
 *
 * @param isKnown whether an earlier run has come as far as a log
 */
export async function prepareFounding(options: FoundingOptions, isKnown: boolean): Promise<Founding> {
  const { config, listMembers } = options;
  const text = listMembers === null ? config.initialCluster : await listMembers();
  const { cluster, error } = parseInitialCluster(text);
  if (error !== undefined) throw new MemberStartError(error);
  return config.initialClusterState === 'new'
    ? prepareNew(options, cluster, isKnown)
    : prepareJoin(options, cluster);
}

async function prepareNew(
  options: FoundingOptions,
  listed: InitialCluster,
  isKnown: boolean,
): Promise<Founding> {
  const { config, resolveHost, logger } = options;
  const identity = { name: config.name, advertisePeerUrls: config.initialAdvertisePeerUrls };
  const problem = await bootstrapProblem(listed, identity, resolveHost);
  if (problem !== null) throw new MemberStartError(problem);
  const membership = await foundedMembership(options, listed, isKnown);
  const { id: memberId } = localMember(config, membership);
  const others = peerUrlsOfOthers(membership, memberId);
  const remote = others.length === 0 ? null : await askForCluster(options, others, FOUNDING_TIMEOUT_MS);
  const known = remote?.clusterId === membership.clusterId ? remote.members : [];
  if (known.some(({ id, clientUrls }) => id === memberId && clientUrls.length > 0)) {
    throw new MemberStartError(`member ${formatId(memberId)} has already been bootstrapped`);
  }
  logger.info('bootstrapping cluster', { 'cluster-id': formatId(membership.clusterId) });
  return { memberId, clusterId: membership.clusterId, peers: bootstrapPeers(membership), otherMembers: [] };
}

/** What is listed, or what discovery makes of this member alone. */
async function foundedMembership(
  { config, discover }: FoundingOptions,
  listed: InitialCluster,
  isKnown: boolean,
): Promise<Membership> {
  const membership = configuredMembership(config, listed);
  if (discover === null) return membership;
  const { id } = localMember(config, membership);
  const { cluster, error } = parseInitialCluster(await discover(id, formatInitialCluster(listed), isKnown));
  if (error !== undefined) throw new MemberStartError(error);
  const problem = joinProblem(cluster, config.name);
  if (problem !== null)
    throw new MemberStartError(problem.replace(/^initial cluster /, 'discovery cluster '));
  return configuredMembership(config, cluster);
}

async function prepareJoin(options: FoundingOptions, cluster: InitialCluster): Promise<Founding> {
  const { config, clock, logger, network } = options;
  const problem = joinProblem(cluster, config.name);
  if (problem !== null) throw new MemberStartError(problem);
  if (options.discover !== null) {
    throw new MemberStartError('discovery URL should not be set when joining existing initial cluster');
  }
  const configured = configuredMembership(config, cluster);
  const others = peerUrlsOfOthers(configured, localMember(config, configured).id);
  const remote = others.length === 0 ? null : await askForCluster(options, others, JOINING_TIMEOUT_MS);
  if (remote === null) {
    throw new MemberStartError(
      'cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs',
    );
  }
  const areSame = await resolvedComparison(options, configured, remote);
  let joined: Membership;
  try {
    joined = joinCluster(configured, remote, areSame, config.maxLearners);
  } catch (error) {
    if (!(error instanceof MembershipError)) throw error;
    throw new MemberStartError(`error validating peerURLs ${describeCluster(remote)}: ${error.message}`, {
      cause: error,
    });
  }
  const { id: memberId } = localMember(config, joined);
  const otherMembers = remote.members.filter(({ id }) => id !== memberId);
  const versions = await new Promise<readonly (string | null)[]>((resolve) => {
    new RemoteMembers(network, clock, logger).versions(otherMembers, (found) =>
      resolve(found.map((version) => version.cluster)),
    );
  });
  const own = parseVersion(ETCD_VERSION);
  if (own === null || !isCompatibleWithCluster(own, versions, false)) {
    throw new MemberStartError('incompatible with current running cluster');
  }
  return { memberId, clusterId: remote.clusterId, peers: [], otherMembers };
}

function configuredMembership(config: Config, cluster: InitialCluster): Membership {
  const peerUrls = new Map([...cluster].map(([name, urls]) => [name, urlTexts(urls)]));
  return newCluster(config.initialClusterToken, peerUrls, config.maxLearners);
}

function localMember({ name }: Config, membership: Membership): Member {
  const member = membership.memberByName(name);
  if (member !== null) return member;
  throw new MemberStartError(
    `couldn't find local name ${JSON.stringify(name)} in the initial cluster configuration`,
  );
}

function peerUrlsOfOthers(membership: Membership, memberId: MemberId): string[] {
  const others = membership.members().filter(({ id }) => id !== memberId);
  return others.flatMap(({ peerUrls }) => peerUrls).sort();
}

function askForCluster(
  { network, clock, logger }: FoundingOptions,
  urls: readonly string[],
  timeoutMs: number,
): Promise<RemoteCluster | null> {
  const remotes = new RemoteMembers(network, clock, logger.child({ caller: 'server/bootstrap' }));
  return new Promise((resolve) => remotes.cluster(urls, timeoutMs, resolve));
}

/** Compares lists of peer URLs as places: a host may be named in one and given by address in the other. */
async function resolvedComparison(
  { resolveHost }: FoundingOptions,
  configured: Membership,
  remote: RemoteCluster,
): Promise<(a: readonly string[], b: readonly string[]) => boolean> {
  const texts = new Set([...configured.members(), ...remote.members].flatMap(({ peerUrls }) => peerUrls));
  const places = new Map<string, string>();
  for (const text of texts) places.set(text, await resolvedUrlText(text, resolveHost));
  const placesOf = (urls: readonly string[]): string =>
    urls
      .map((url) => places.get(url) ?? url)
      .sort()
      .join(',');
  return (a, b) => placesOf(a) === placesOf(b);
}

function describeCluster({ clusterId, members }: RemoteCluster): string {
  const ids = members.map(({ id }) => formatId(id)).join(' ');
  return `{ClusterID:${formatId(clusterId)} Members:[${ids}]}`;
}
