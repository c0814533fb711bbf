/**
 * The network between members: etcd's peer protocol over HTTP/1.1, spoken with members of etcd 3.4 and later.
 *
 * Between two members there are two endless streams in each direction: one for MsgApp, in a form that costs little more
 * than the entries themselves, and one for all other messages. Each member asks for the streams that it reads (a GET whose
 * answer does not end), and writes into the answers that it gives. A stream that ends is asked for again, at most ten times
 * a second; meanwhile messages go by POST, a few at a time. Snapshots have a POST of their own.
 *
 *     const network = new HttpPeerNetwork({ clock, logger, metrics: metrics.handles, peerUrls, dialTimeoutMs });
 *     network.request(…)                                   // may come first: a member that joins asks who there is
 *     network.start(host);
 *     new Listener({ …, services: { grpc: null, http: network.http } });
 *     network.addPeer(id, urls);
 *
 * {@link PeerNetwork} is the contract, for members that do not care by which network they are connected.
 *
 * What is sent by one call leaves in it, with one write for each stream. A member that takes nothing has up to
 * 64 MiB or 4096 messages waiting on each stream; what goes beyond is dropped and reported, as is what a lost connection took
 * with it. Raft sends again.
 *
 * Everything that comes from another member is bounded: frames by 512 MiB and a million entries (memory grows with what
 * has come, not with what was announced), POSTs by 64 MiB, other requests by 64 KiB, snapshots by what the {@link
 * PeerHost}'s receiver takes, and all of them in time. What is malformed ends its stream or gets a 400, and nothing else.
 */

export { type Dialer, TCP_DIALER } from '@etcd/host/net';
export { HttpPeerNetwork, type HttpPeerNetworkOptions } from './http-peer-network.ts';
export type { PeerMetrics } from './peer-environment.ts';
export { PeerHttp } from './peer-http.ts';
export type {
  PeerHost,
  PeerNetwork,
  PeerRequest,
  PeerResponse,
  PeerResponseCallback,
  SnapshotBody,
} from './peer-network.ts';
