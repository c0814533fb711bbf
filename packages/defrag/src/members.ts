/** The members that the job is about, and what is asked of one of them. */
import type { StatusResponse } from '@etcd/api/etcdserverpb';
import type { EtcdClient } from '@etcd/client';
import type { ConnectOptions } from '@etcd/client/node';
import { connect } from '@etcd/client/node';
import type { JobOptions } from './job-options.ts';

export interface MemberStatus {
  readonly endpoint: string;
  readonly status: StatusResponse;
}

export class Members {
  readonly options: JobOptions;
  readonly #connection: ConnectOptions;
  readonly #given: readonly string[];

  /** @param given the endpoints of the command line, or of the domain's records. */
  constructor(options: JobOptions, connection: ConnectOptions, given: readonly string[]) {
    this.options = options;
    this.#connection = connection;
    this.#given = given;
  }

  /** Does `work` with a client of these endpoints, all that were given unless told. */
  async use<T>(work: (client: EtcdClient) => Promise<T>, endpoints = this.#given): Promise<T> {
    const client = connect({ ...this.#connection, endpoints });
    try {
      await client.authenticate();
      return await work(client);
    } finally {
      client.close();
    }
  }

  /** What is to be defragmented. */
  async targets(): Promise<readonly string[]> {
    return this.options.isWholeCluster ? await this.announced() : this.#given;
  }

  /** What the members that vote announce: each once, in order. */
  async announced(): Promise<readonly string[]> {
    const { members } = await this.use((client) => client.cluster.memberList());
    const urls = members.filter(({ isLearner }) => !isLearner).flatMap(({ clientUrls }) => clientUrls);
    const wanted = this.options.excludesLocalhost ? urls.filter((url) => !isLocal(url)) : urls;
    return [...new Set(wanted)].sort();
  }

  /** Those whose health decides whether anything is done. */
  async checked(): Promise<readonly string[]> {
    return this.options.checksGivenOnly ? await this.targets() : await this.announced();
  }

  async status(endpoint: string): Promise<MemberStatus> {
    return { endpoint, status: await this.use((client) => client.maintenance.status(), [endpoint]) };
  }

  /** Throws with the endpoint that did not answer. */
  async statuses(): Promise<MemberStatus[]> {
    const found: MemberStatus[] = [];
    for (const endpoint of await this.targets()) {
      try {
        found.push(await this.status(endpoint));
      } catch (error) {
        const reason = (error as Error).message;
        throw new Error(`failed to get member(${JSON.stringify(endpoint)}) status: ${reason}`);
      }
    }
    return found;
  }
}

/** Whether an address is on this machine's loopback interface, or is no network address at all. */
export function isLocal(endpoint: string): boolean {
  if (/^unixs?:/.test(endpoint)) return true;
  const host = /^(?:\w+:\/\/)?(\[[^\]]*\]|[^:/]*)/.exec(endpoint)?.[1]?.toLowerCase() ?? '';
  return host === 'localhost' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

export function describeStatus({ endpoint, status }: MemberStatus): string {
  const { header, dbSize, dbSizeInUse, leader, raftTerm, raftIndex } = status;
  const fields = {
    endpoint,
    dbSize,
    dbSizeInUse,
    memberId: (header?.memberId ?? 0n).toString(16),
    leader: leader.toString(16),
    revision: header?.revision ?? 0,
    term: raftTerm,
    index: raftIndex,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ');
}

export function isLeader({ status }: MemberStatus): boolean {
  return status.header?.memberId === status.leader;
}
