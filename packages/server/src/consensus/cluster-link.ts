/**
 * A member's ties to the others: keeps the network's list of peers equal to the membership, sends what raft has for them, and
 * takes in what they send. Nothing here decides anything.
 */

import type { ClusterId, MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import { MessageType } from '@etcd/api/raftpb';
import { assert, type DiskError } from '@etcd/base';
import { messageTypeName } from '@etcd/raft';
import { type ConfChangeEffect, formatId, HEALTH_INTERVAL_MS, type Member } from '@etcd/storage/membership';
import type { DbReceiver } from '@etcd/storage/snap';
import type { PeerHost, PeerRequest, PeerResponse } from '../peer/index.ts';
import { HeartbeatMonitor } from './heartbeat-monitor.ts';
import type { MemberEnvironment } from './member-environment.ts';
import { MessageCheck } from './message-check.ts';

export interface ClusterLinkOptions
  extends Pick<
    MemberEnvironment,
    'clock' | 'logger' | 'memberId' | 'membership' | 'metrics' | 'network' | 'snapshotter'
  > {
  readonly heartbeatIntervalMs: number;
  /** The raft loop. */
  readonly step: (message: Message) => void;
  readonly reportUnreachable: (id: MemberId) => void;
  readonly reportSnapshot: (id: MemberId, isDelivered: boolean) => void;
  /** Gives a MsgSnap its content, then has it sent. */
  readonly sendSnapshot: (message: Message) => void;
  readonly onRequest: PeerHost['onRequest'];
  readonly onPeerGone: (id: MemberId) => void;
  /** This member was removed, as the log or another member says. */
  readonly onRemoved: () => void;
}

/** A member that has applied its own removal goes on for so long: the others have to hear that it is committed. */
const REMOVAL_DELAY_MS = 1000;
/** A database of more than this is no etcd's. */
const MAX_SNAPSHOT_BYTES = 2 ** 40;

export class ClusterLink implements PeerHost {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  readonly #options: ClusterLinkOptions;
  /** Peer URLs of the members that the network knows of, as one text each. */
  readonly #known = new Map<MemberId, string>();
  readonly #heartbeats: HeartbeatMonitor;
  readonly #check = new MessageCheck();
  #isStopped = false;

  constructor(options: ClusterLinkOptions) {
    this.#options = options;
    this.memberId = options.memberId;
    this.clusterId = options.membership.clusterId;
    this.#heartbeats = new HeartbeatMonitor({
      clock: options.clock,
      logger: options.logger,
      heartbeatIntervalMs: options.heartbeatIntervalMs,
      onLate: () => options.metrics.heartbeatSendFailuresTotal.inc(),
    });
  }

  /** @param others members that the log does not know yet: those of the cluster that this one joins. */
  start(others: readonly Member[]): void {
    this.#options.network.start(this);
    this.#setKnown(this.memberId, 1);
    for (const member of others) this.#connect(member);
    this.synchronize();
  }

  stop(): void {
    this.#isStopped = true;
    this.#options.network.stop();
  }

  /** Makes the network's peers those of the membership, which has changed as a whole or was loaded. */
  synchronize(): void {
    const members = this.#options.membership.members();
    if (members.length === 0) return;
    for (const id of [...this.#known.keys()]) {
      if (!members.some((member) => member.id === id)) this.#disconnect(id);
    }
    for (const member of members) this.#connect(member);
  }

  onMemberChange(effect: ConfChangeEffect): void {
    if (effect.kind === 'ignored') return;
    if (effect.kind !== 'removed') return this.#connect(effect.member);
    if (effect.id !== this.memberId) return this.#disconnect(effect.id);
    this.#options.logger.warn('the local member was removed from the cluster; it is about to stop');
    this.#options.clock.setTimer(REMOVAL_DELAY_MS, () => this.onRemovedFromCluster());
  }

  /** Hands `messages` to the network; of several plain acknowledgements to one member only the last says something. */
  send(messages: readonly Message[]): void {
    if (this.#isStopped) return;
    const { membership, network, sendSnapshot } = this.#options;
    const outgoing: Message[] = [];
    const acknowledged = new Set<MemberId>();
    for (let i = messages.length - 1; i >= 0; i--) {
      const message = messages[i]!;
      assert(message.to !== this.memberId, 'cluster link: a message to the member itself');
      if (membership.isRemoved(message.to)) continue;
      if (message.type === MessageType.MsgSnap) {
        sendSnapshot(message);
        continue;
      }
      if (message.type === MessageType.MsgHeartbeat) this.#heartbeats.onSend(message.to, message.term);
      if (message.type === MessageType.MsgAppResp && !message.reject) {
        if (acknowledged.has(message.to)) continue;
        acknowledged.add(message.to);
      }
      outgoing.push(message);
    }
    if (outgoing.length > 0) network.send(outgoing.reverse());
  }

  /** Whether a member has been connected for long enough to be counted on. */
  isConnected(id: MemberId): boolean {
    if (id === this.memberId) return true;
    const sinceMs = this.#options.network.activeSinceMs(id);
    return sinceMs !== null && this.#options.clock.now() - sinceMs >= HEALTH_INTERVAL_MS;
  }

  isActive(id: MemberId): boolean {
    return id === this.memberId || this.#options.network.activeSinceMs(id) !== null;
  }

  /** Whether any other member is connected. */
  get hasActivePeer(): boolean {
    for (const id of this.#known.keys()) if (this.isActive(id)) return true;
    return false;
  }

  /** Of `ids`, the member that has been connected longest; null when none is. */
  longestConnected(ids: readonly MemberId[]): MemberId | null {
    let longest: MemberId | null = null;
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const id of ids) {
      const sinceMs = id === this.memberId ? null : this.#options.network.activeSinceMs(id);
      if (sinceMs === null || sinceMs >= earliestMs) continue;
      longest = id;
      earliestMs = sinceMs;
    }
    return longest;
  }

  // --- what the network calls

  receive(message: Message): void {
    if (this.#isStopped) return;
    const problem = this.#check.problemOf(message);
    if (problem === null) return this.#options.step(message);
    this.#options.logger.error('refused a message: what it brings can not be applied', {
      'remote-peer-id': formatId(message.from),
      type: messageTypeName(message.type),
      error: problem,
    });
  }

  receiveSnapshot(message: Message): DbReceiver | DiskError {
    const { snapshot } = message;
    assert(snapshot !== null, 'cluster link: a database without a snapshot');
    return this.#options.snapshotter.receiveDb(snapshot.metadata.index, MAX_SNAPSHOT_BYTES);
  }

  isRemoved(id: MemberId): boolean {
    return this.#options.membership.isRemoved(id);
  }

  reportUnreachable(id: MemberId): void {
    if (!this.#isStopped) this.#options.reportUnreachable(id);
  }

  reportSnapshot(id: MemberId, isDelivered: boolean): void {
    if (!this.#isStopped) this.#options.reportSnapshot(id, isDelivered);
  }

  onPeerGone(id: MemberId): void {
    if (!this.#isStopped) this.#options.onPeerGone(id);
  }

  onRemovedFromCluster(): void {
    if (!this.#isStopped) this.#options.onRemoved();
  }

  onRequest(request: PeerRequest, respond: (response: PeerResponse) => void): void {
    const ownHeaders = { 'x-etcd-cluster-id': formatId(this.clusterId) };
    this.#options.onRequest(request, (response) =>
      respond({ ...response, headers: { ...response.headers, ...ownHeaders } }),
    );
  }

  // --- inside

  #connect({ id, peerUrls }: Member): void {
    if (id === this.memberId) return;
    const text = peerUrls.join(',');
    const known = this.#known.get(id);
    if (known === text) return;
    this.#known.set(id, text);
    const { network } = this.#options;
    if (known === undefined) {
      this.#setKnown(id, 1);
      network.addPeer(id, peerUrls);
    } else network.updatePeer(id, peerUrls);
  }

  #disconnect(id: MemberId): void {
    assert(id !== this.memberId, 'cluster link: the member parts with itself');
    if (!this.#known.delete(id)) return;
    this.#setKnown(id, 0);
    this.#options.network.removePeer(id);
  }

  #setKnown(id: MemberId, value: 0 | 1): void {
    this.#options.metrics.knownPeers.labels(formatId(this.memberId), formatId(id)).set(value);
  }
}
