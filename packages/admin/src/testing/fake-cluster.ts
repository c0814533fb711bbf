/** For tests: a cluster whose members are numbers, which can be killed between any two of the calls that change or ask it. */

import { EtcdError, RPC_ERRORS } from '@etcd/api';
import { Member, ResponseHeader, StatusResponse } from '@etcd/api/etcdserverpb';
import type { ClusterAccess, Membership } from '../cluster/cluster-access.ts';

export class Killed extends Error {
  override readonly name = 'Killed';
}

export interface FakeMember {
  member: Member;
  isUp: boolean;
  isInSync: boolean;
  errors: string[];
}

export class FakeCluster implements ClusterAccess {
  readonly clusterId = 0xc0ffeen;
  readonly all: FakeMember[] = [];
  leader = 1n;
  /** Calls so far, and the one at which whoever calls is killed: before it takes effect, or after. */
  calls = 0;
  killAt = Number.POSITIVE_INFINITY;
  killsAfter = false;
  /** How often each change was made. */
  readonly changes: string[] = [];
  /** The fewest healthy voters there ever were, beyond the quorum of their time; below 0 the cluster was lost. */
  leastMargin = Number.POSITIVE_INFINITY;
  #nextId = 100n;

  constructor(voters: number) {
    for (let i = 1; i <= voters; i++) {
      this.all.push({ member: memberOf(BigInt(i), `m${i}`, false), isUp: true, isInSync: true, errors: [] });
    }
  }

  at(name: string): FakeMember {
    const found = this.all.find(({ member }) => member.name === name);
    if (found === undefined) throw new RangeError(`no member ${name}`);
    return found;
  }

  /** What an operator does on the new host. */
  startLearners(name: string): void {
    for (const one of this.all) {
      if (one.member.name !== '') continue;
      one.member.name = name;
      one.member.clientUrls = [`https://${name}-new:2379`];
      one.isUp = true;
      one.isInSync = true;
    }
  }

  get margin(): number {
    const voters = this.all.filter(({ member }) => !member.isLearner);
    return voters.filter(({ isUp }) => isUp).length - (Math.floor(voters.length / 2) + 1);
  }

  widen(): void {}

  membership(): Promise<Membership> {
    return this.#call(() => {
      this.#needQuorum();
      return { clusterId: this.clusterId, members: this.all.map(({ member }) => new Member({ ...member })) };
    });
  }

  status(endpoint: string): Promise<StatusResponse | null> {
    return this.#call(() => {
      const one = this.all.find(({ member }) => member.clientUrls.includes(endpoint));
      if (one === undefined || !one.isUp) return null;
      return new StatusResponse({
        header: new ResponseHeader({ memberId: one.member.id, clusterId: this.clusterId }),
        version: '3.7.3',
        leader: this.margin >= 0 ? this.leader : 0n,
        isLearner: one.member.isLearner,
        errors: one.errors,
      });
    });
  }

  addLearner(peerUrls: readonly string[]): Promise<bigint> {
    return this.#call(() => {
      this.#needQuorum();
      if (this.all.some(({ member }) => member.peerUrls.some((url) => peerUrls.includes(url)))) {
        throw new EtcdError(RPC_ERRORS.ErrGRPCPeerURLExist);
      }
      if (this.all.some(({ member }) => member.isLearner))
        throw new EtcdError(RPC_ERRORS.ErrGRPCTooManyLearners);
      const id = this.#nextId++;
      const member = new Member({ id, peerUrls: [...peerUrls], isLearner: true });
      this.all.push({ member, isUp: false, isInSync: false, errors: [] });
      this.changes.push('add');
      return id;
    });
  }

  remove(id: bigint): Promise<void> {
    return this.#call(() => {
      this.#needQuorum();
      const at = this.all.findIndex(({ member }) => member.id === id);
      if (at < 0) throw new EtcdError(RPC_ERRORS.ErrGRPCMemberNotFound);
      this.all.splice(at, 1);
      if (this.leader === id) this.leader = this.all[0]!.member.id;
      this.changes.push('remove');
    });
  }

  promote(id: bigint): Promise<void> {
    return this.#call(() => {
      this.#needQuorum();
      const one = this.all.find(({ member }) => member.id === id);
      if (one === undefined) throw new EtcdError(RPC_ERRORS.ErrGRPCMemberNotFound);
      if (!one.member.isLearner) throw new EtcdError(RPC_ERRORS.ErrGRPCMemberNotLearner);
      if (!one.isInSync) throw new EtcdError(RPC_ERRORS.ErrGRPCLearnerNotReady);
      one.member.isLearner = false;
      this.changes.push('promote');
    });
  }

  moveLeader(_leaderEndpoint: string, targetId: bigint): Promise<void> {
    return this.#call(() => {
      this.leader = targetId;
      this.changes.push('move-leader');
    });
  }

  #needQuorum(): void {
    if (this.margin < 0) throw new EtcdError(RPC_ERRORS.ErrGRPCTimeout);
  }

  async #call<T>(effect: () => T): Promise<T> {
    this.calls++;
    await Promise.resolve();
    const isLast = this.calls === this.killAt;
    if (this.calls > this.killAt || (isLast && !this.killsAfter)) throw new Killed();
    const result = effect();
    this.leastMargin = Math.min(this.leastMargin, this.margin);
    if (isLast) throw new Killed();
    return result;
  }
}

function memberOf(id: bigint, name: string, isLearner: boolean): Member {
  return new Member({
    id,
    name,
    isLearner,
    peerUrls: [`https://${name}:2380`],
    clientUrls: [`https://${name}:2379`],
  });
}
