/** What the parts of a member have in common. */
import { requestTimeoutMs } from '../config/index.ts';
import type { MemberEnvironment } from '../consensus/index.ts';
import type { EtcdServerOptions } from './etcd-server-options.ts';

/** @param own what the member has made itself. */
export function environmentOf(
  options: EtcdServerOptions,
  own: Pick<MemberEnvironment, 'logger' | 'ids'>,
): MemberEnvironment {
  const { config, parts, clock, disk, random, metrics, network } = options;
  const { memberId, membership, node, raftStorage, snapshotter } = parts;
  return {
    ...own,
    config,
    clock,
    disk,
    random,
    metrics: metrics.handles,
    network,
    memberId,
    membership,
    node,
    raftStorage,
    snapshotter,
    requestTimeoutMs: requestTimeoutMs(config),
  };
}
