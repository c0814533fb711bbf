/** Members of one cluster on one machine. */
import { decodeStatusResponse } from '@etcd/api/etcdserverpb';
import { type ClientFiles, callOnce, openChannel } from '../load/connect.ts';
import { EtcdProcess, memberAddresses } from './etcd-process.ts';

const STATUS = '/etcdserverpb.Maintenance/Status';
const STATUS_TIMEOUT_MS = 5_000;

export interface MemberStatus {
  readonly isLeader: boolean;
  readonly appliedIndex: number;
}

export class Cluster {
  readonly members: readonly EtcdProcess[];

  private constructor(members: readonly EtcdProcess[]) {
    this.members = members;
  }

  /** Starts `count` members and waits until each answers. */
  static async start(program: string, count: number, tls: ClientFiles | null = null): Promise<Cluster> {
    const addresses = await memberAddresses(count);
    const cluster = new Cluster(addresses.map((own) => EtcdProcess.launch(program, own, addresses, tls)));
    try {
      await Promise.all(cluster.members.map((member) => member.answers()));
    } catch (error) {
      await cluster.dispose();
      throw error;
    }
    return cluster;
  }

  get pids(): readonly number[] {
    return this.members.map((member) => member.pid);
  }

  get targets(): readonly string[] {
    return this.members.map((member) => member.target);
  }

  async leader(): Promise<EtcdProcess> {
    for (const member of this.members) {
      if ((await memberStatus(member)).isLeader) return member;
    }
    throw new Error('no member says that it leads');
  }

  others(than: EtcdProcess): readonly EtcdProcess[] {
    return this.members.filter((member) => member !== than);
  }

  async dispose(): Promise<void> {
    await Promise.all(this.members.map((member) => member.dispose()));
  }
}

export async function memberStatus(member: EtcdProcess): Promise<MemberStatus> {
  const channel = await openChannel(member.target);
  try {
    const bytes = await callOnce(channel, STATUS, Buffer.alloc(0), STATUS_TIMEOUT_MS);
    const status = decodeStatusResponse(bytes);
    return {
      isLeader: status.leader === status.header!.memberId,
      appliedIndex: status.raftAppliedIndex,
    };
  } finally {
    channel.close();
  }
}
