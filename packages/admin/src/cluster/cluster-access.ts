/** What commands ask of a running cluster, and of single members of it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdError } from '@etcd/api';
import type { Member, StatusResponse } from '@etcd/api/etcdserverpb';
import type { EtcdClient } from '@etcd/client';
import { type ConnectOptions, connect } from '@etcd/client/node';

export interface Membership {
  readonly clusterId: bigint;
  readonly members: readonly Member[];
}

/** What a change of the membership needs. A test has a cluster of its own behind it. */
export interface ClusterAccess {
  /** As the leader knows it: an answer means that there is a quorum. */
  membership(): Promise<Membership>;
  /** Asks these, too: whoever was asked so far may be gone soon. */
  widen(urls: readonly string[]): void;
  /** Of the member at an endpoint; null when it does not answer. */
  status(endpoint: string): Promise<StatusResponse | null>;
  /** Returns the id of the learner. */
  addLearner(peerUrls: readonly string[]): Promise<bigint>;
  remove(id: bigint): Promise<void>;
  promote(id: bigint): Promise<void>;
  /** Has the leader, at an endpoint, hand over to another member. */
  moveLeader(leaderEndpoint: string, targetId: bigint): Promise<void>;
}

/** A member that takes longer to say how it is counts as one that says nothing. */
const STATUS_MS = 10_000;

export class ClientAccess implements ClusterAccess {
  readonly client: EtcdClient;
  readonly #connection: ConnectOptions;
  readonly #single = new Map<string, EtcdClient>();

  constructor(endpoints: readonly string[], connection: ConnectOptions) {
    this.#connection = connection;
    this.client = connect({ ...connection, endpoints });
  }

  async membership(): Promise<Membership> {
    const { header, members } = await this.client.cluster.memberList();
    return { clusterId: header?.clusterId ?? 0n, members };
  }

  widen(urls: readonly string[]): void {
    this.client.setEndpoints([...new Set([...this.client.endpoints, ...urls])]);
  }

  async status(endpoint: string): Promise<StatusResponse | null> {
    try {
      return await this.at(endpoint).maintenance.status({ timeoutMs: STATUS_MS });
    } catch (error) {
      // A member that says why it does not answer is as little use as one that says nothing, except to whoever may not ask.
      if (error instanceof EtcdError && isRefusal(error)) throw error;
      return null;
    }
  }

  async addLearner(peerUrls: readonly string[]): Promise<bigint> {
    const { member } = await this.client.cluster.memberAdd(peerUrls, { isLearner: true });
    return member?.id ?? 0n;
  }

  async remove(id: bigint): Promise<void> {
    await this.client.cluster.memberRemove(id);
  }

  async promote(id: bigint): Promise<void> {
    await this.client.cluster.memberPromote(id);
  }

  async moveLeader(leaderEndpoint: string, targetId: bigint): Promise<void> {
    await this.at(leaderEndpoint).maintenance.moveLeader(targetId);
  }

  /** A client of one member alone. */
  at(endpoint: string): EtcdClient {
    let client = this.#single.get(endpoint);
    if (client === undefined) {
      client = connect({ ...this.#connection, endpoints: [endpoint] });
      this.#single.set(endpoint, client);
    }
    return client;
  }

  get tls(): ConnectOptions['tls'] {
    return this.#connection.tls;
  }

  close(): void {
    this.client.close();
    for (const client of this.#single.values()) client.close();
  }
}

function isRefusal({ entry }: EtcdError): boolean {
  return /permission denied|authentication|auth token|user name is empty/.test(entry.message);
}

/** How the host's own client comes; null where no member was set up here. */
export function hostConnection(certsDir: string): ConnectOptions | null {
  const path = (name: string): string => join(certsDir, name);
  const files = ['ca.crt', 'etcdctl-etcd-client.crt', 'etcdctl-etcd-client.key'].map(path);
  if (!files.every((file) => existsSync(file))) return null;
  const [ca, cert, key] = files.map((file) => readFileSync(file));
  return { tls: { ca: ca!, cert: cert!, key: key! }, healthChecks: false };
}
