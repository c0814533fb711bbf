/** What a member learns from others before it belongs to their cluster, or about their releases when it leads it. */
import type { ClusterId } from '@etcd/api';
import type { Clock, Logger } from '@etcd/base';
import { formatId, type Member, MembershipError, parseId, parseMembers } from '@etcd/storage/membership';
import { IMPLEMENTATION_NAME } from '../config/index.ts';
import type { PeerNetwork, PeerRequest, PeerResponse } from '../peer/index.ts';

export interface RemoteCluster {
  readonly clusterId: ClusterId;
  readonly members: readonly Member[];
}

/** What a member's `/version` says; null where it says nothing that can be read. */
export interface RemoteVersions {
  readonly server: string | null;
  readonly cluster: string | null;
  /** The member runs this program, whatever release it calls itself. */
  readonly isOurs: boolean;
}

const UNKNOWN_VERSIONS: RemoteVersions = { server: null, cluster: null, isOurs: false };
/** Of the answer to `/version` between members: tells this program from others of the same release. */
export const IMPLEMENTATION_HEADER = 'x-etcd-implementation';

const QUESTION_TIMEOUT_MS = 5000;

export class RemoteMembers {
  readonly #network: PeerNetwork;
  readonly #logger: Logger;
  readonly clock: Clock;

  constructor(network: PeerNetwork, clock: Clock, logger: Logger) {
    this.#network = network;
    this.clock = clock;
    this.#logger = logger;
  }

  /** The members of the cluster that one of `urls` belongs to, all of which are asked at once; null when none answers in time. */
  cluster(urls: readonly string[], timeoutMs: number, done: (cluster: RemoteCluster | null) => void): void {
    const request = { method: 'GET', path: '/members' };
    let openCount = urls.length;
    let isDone = false;
    for (const url of urls) {
      this.#ask(url, request, timeoutMs, readCluster, (found) => {
        openCount--;
        if (isDone || (found === null && openCount > 0)) return;
        isDone = true;
        done(found);
      });
    }
  }

  /** Releases of `members`, in their order. */
  versions(members: readonly Member[], done: (versions: readonly RemoteVersions[]) => void): void {
    const versions = new Array<RemoteVersions>(members.length);
    let openCount = members.length;
    if (openCount === 0) return done(versions);
    for (const [i, { id, peerUrls }] of members.entries()) {
      this.#firstAnswer(peerUrls, { method: 'GET', path: '/version' }, readVersions, (found) => {
        if (found === null) {
          this.#logger.warn('failed to get version', { 'remote-member-id': formatId(id) });
        }
        versions[i] = found ?? UNKNOWN_VERSIONS;
        if (--openCount === 0) done(versions);
      });
    }
  }

  /** Asks one URL after the other until one answers in a form that `read` can read. */
  #firstAnswer<T>(
    urls: readonly string[],
    request: PeerRequest,
    read: (response: PeerResponse) => T | null,
    done: (found: T | null) => void,
  ): void {
    const ask = (i: number): void => {
      const url = urls[i];
      if (url === undefined) return done(null);
      this.#ask(url, request, QUESTION_TIMEOUT_MS, read, (found) =>
        found === null ? ask(i + 1) : done(found),
      );
    };
    ask(0);
  }

  #ask<T>(
    url: string,
    request: PeerRequest,
    timeoutMs: number,
    read: (response: PeerResponse) => T | null,
    done: (found: T | null) => void,
  ): void {
    this.#network.request(url, request, timeoutMs, (response, reason) => {
      const found = response?.status === 200 ? read(response) : null;
      if (found === null) {
        this.#logger.warn('failed to get an answer of a remote member', {
          url: url + request.path,
          error: response === null ? reason : `status ${response.status}`,
        });
      }
      done(found);
    });
  }
}

function readCluster({ body, headers }: PeerResponse): RemoteCluster | null {
  const clusterId = parseId(headers?.['x-etcd-cluster-id'] ?? '');
  if (clusterId === null) return null;
  try {
    return { clusterId, members: parseMembers(Buffer.from(body).toString()) };
  } catch (error) {
    if (error instanceof MembershipError) return null;
    throw error;
  }
}

function readVersions({ body, headers }: PeerResponse): RemoteVersions | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    if (typeof value !== 'object' || value === null) return null;
    const { etcdserver, etcdcluster } = value as Record<string, unknown>;
    return {
      server: typeof etcdserver === 'string' ? etcdserver : null,
      cluster: typeof etcdcluster === 'string' ? etcdcluster : null,
      isOurs: headers?.[IMPLEMENTATION_HEADER] === IMPLEMENTATION_NAME,
    };
  } catch {
    return null;
  }
}
