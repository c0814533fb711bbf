/**
 * The way to the other members, as a member sees it. The program speaks etcd's peer protocol over HTTP; the simulator
 * carries the same calls through a network that loses, delays, reorders and duplicates them. Either way: messages may be lost, and
 * whoever sends one is never blocked.
 */
import type { ClusterId, MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import type { DiskError } from '@etcd/base';
import type { DbReceiver } from '@etcd/storage/snap';

/** An ordinary request from one member to another: who is in the cluster, which version, keep this lease alive. */
export interface PeerRequest {
  /** `GET` or `POST` of those that a member sends; whoever answers may meet any other. */
  readonly method: string;
  /** With its query, as `/members/promote/123`. */
  readonly path: string;
  readonly contentType?: string;
  readonly body?: Uint8Array;
  /** Further ones (`authorization`); of a request that has come, all, with names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface PeerResponse {
  readonly status: number;
  readonly contentType?: string;
  readonly body: Uint8Array;
  /** Names in lower case, as `x-etcd-cluster-id`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** null: no answer, for a reason that only a log line can use. */
export type PeerResponseCallback = (response: PeerResponse | null, reason: string) => void;

/** A whole database on its way to another member: its bytes in order. Closed by whom it was given to. */
export interface SnapshotBody {
  readonly sizeBytes: number;
  /** Fills `target` from its beginning; fewer bytes than its length only at the end. One call at a time. */
  readThen(target: Uint8Array, done: (error: Error | null, bytesRead: number) => void): void;
  close(): void;
}

/** What a member does for its network. All calls come in turns of their own, from the moment of {@link PeerNetwork.start}. */
export interface PeerHost {
  readonly memberId: MemberId;
  readonly clusterId: ClusterId;
  /**
   * A message has come. It belongs to the host from now on, with the bytes in it: they lie in memory that holds
   * nothing but this one message. `message.to` is this member, and `message.from` was not removed.
   */
  receive(message: Message): void;
  /**
   * A MsgSnap, which has its snapshot, and whose database follows. The bytes go into what is returned; when they are all there and
   * durable, the network calls {@link receive} with the message. An error: there is no place for them.
   */
  receiveSnapshot(message: Message): DbReceiver | DiskError;
  isRemoved(id: MemberId): boolean;
  /** A message to `id` was lost, or there is no connection. */
  reportUnreachable(id: MemberId): void;
  /** How it went with the MsgSnap for `id`. */
  reportSnapshot(id: MemberId, isDelivered: boolean): void;
  /** Nobody listens any more where `id` was connected a moment ago: its process has ended. It may also have begun anew. */
  onPeerGone(id: MemberId): void;
  /** Another member says that this one was removed from the cluster. */
  onRemovedFromCluster(): void;
  /** A request of another member, or of a tool. `respond` is called once, now or later. */
  onRequest(request: PeerRequest, respond: (response: PeerResponse) => void): void;
}

export interface PeerNetwork {
  /** Begins to listen to the others; `host` is told from now on. */
  start(host: PeerHost): void;
  /** Ends all connections. Nothing is sent or received any more. */
  stop(): void;
  /** From now on there is a member `id` at `urls`: connects, and keeps connected. */
  addPeer(id: MemberId, urls: readonly string[]): void;
  updatePeer(id: MemberId, urls: readonly string[]): void;
  removePeer(id: MemberId): void;
  /**
   * Sends each message to `message.to`. They are encoded in this call: the sender may go on with what they share with its
   * log. A message for nobody known is dropped; one that can't leave is reported unreachable.
   */
  send(messages: readonly Message[]): void;
  /** Sends a MsgSnap with its database; {@link PeerHost.reportSnapshot} follows. Closes `body` in the end. */
  sendSnapshot(message: Message, body: SnapshotBody): void;
  /** `Clock.now` of the moment since which the member has been connected; null when it is not. */
  activeSinceMs(id: MemberId): number | null;
  /** Asks whoever serves the peer URL `url`. `done` is called once, within `timeoutMs`, in a later turn. */
  request(url: string, request: PeerRequest, timeoutMs: number, done: PeerResponseCallback): void;
}
