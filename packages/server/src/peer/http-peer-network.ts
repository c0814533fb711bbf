/** The network of the program: every other member, and what they have in common. */

import type { MemberId } from '@etcd/api';
import type { Message } from '@etcd/api/raftpb';
import { assert, type Clock, EMPTY_BYTES, type EtcdUrl, type Logger } from '@etcd/base';
import { type Dialer, TCP_DIALER } from '@etcd/host/net';
import { formatId } from '@etcd/storage/membership';
import { BlockPool } from './chunk-writer.ts';
import { HttpCaller } from './http-caller.ts';
import { LineLimiter } from './line-limiter.ts';
import { Peer } from './peer.ts';
import type { Flushable, PeerEnvironment, PeerMetrics } from './peer-environment.ts';
import { PeerHttp } from './peer-http.ts';
import type {
  PeerHost,
  PeerNetwork,
  PeerRequest,
  PeerResponseCallback,
  SnapshotBody,
} from './peer-network.ts';
import { Remote } from './remote.ts';
import { parsePeerUrls } from './url-picker.ts';

export interface HttpPeerNetworkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: PeerMetrics;
  /** Where others reach this member: `--initial-advertise-peer-urls`. They are told with every request. */
  readonly peerUrls: readonly string[];
  /** Until a connection is there. etcd: a second and one election timeout. */
  readonly dialTimeoutMs: number;
  /** Plain TCP if not given. */
  readonly dialer?: Dialer | undefined;
}

/** Members that are not known yet and have spoken to us. */
const MAX_REMOTES = 64;
/** Snapshots on their way at a time; etcd's number. */
const MAX_SNAPSHOTS = 16;
/** Of a {@link HttpPeerNetwork.request}: the list of members is the largest. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

export class HttpPeerNetwork implements PeerNetwork {
  /** For the listeners of the peer URLs. */
  readonly http: PeerHttp;
  readonly #options: HttpPeerNetworkOptions;
  readonly #caller: HttpCaller;
  readonly #peers = new Map<MemberId, Peer>();
  readonly #remotes = new Map<MemberId, Remote>();
  readonly #unreachable = new Set<MemberId>();
  #unflushed: Flushable[] = [];
  #snapshots = 0;
  #environment: PeerEnvironment | null = null;
  #isStopped = false;
  #isRemoved = false;

  constructor(options: HttpPeerNetworkOptions) {
    const { clock, dialer = TCP_DIALER } = options;
    this.#options = options;
    this.#caller = new HttpCaller(clock, dialer);
    this.http = new PeerHttp({
      clock,
      environment: () => (this.#isStopped ? null : this.#environment),
      findPeer: (id) => this.#peers.get(id),
      addRemote: (id, urls) => this.#addRemote(id, urls),
      receive: this.#receive,
    });
  }

  start(host: PeerHost): void {
    assert(this.#environment === null, 'peer: the network is started once');
    const { clock, logger, metrics, peerUrls, dialTimeoutMs, dialer = TCP_DIALER } = this.#options;
    const { memberId, clusterId } = host;
    this.#environment = {
      clock,
      logger,
      metrics,
      self: { memberId, clusterId, peerUrls },
      host,
      lines: new LineLimiter(clock, logger),
      dialer,
      dialTimeoutMs,
      caller: this.#caller,
      pool: new BlockPool(),
      flushLater: (writer) => this.#flushLater(writer),
      reportUnreachable: (id) => this.#reportUnreachable(id),
      onRemoved: () => this.#onRemoved(),
    };
  }

  stop(): void {
    this.#isStopped = true;
    for (const peer of this.#peers.values()) peer.stop();
    for (const remote of this.#remotes.values()) remote.stop();
    this.#peers.clear();
    this.#remotes.clear();
    this.#caller.close();
  }

  addPeer(id: MemberId, urls: readonly string[]): void {
    const environment = this.#started();
    if (this.#isStopped || this.#peers.has(id)) return;
    const parsed = this.#parse(id, urls);
    if (parsed === null) return;
    this.#removeRemote(id);
    this.#peers.set(id, new Peer(environment, id, parsed, this.#receive));
    environment.logger.info('added remote peer', this.#fields(id, urls));
  }

  updatePeer(id: MemberId, urls: readonly string[]): void {
    const peer = this.#peers.get(id);
    // Where it was before could not be understood.
    if (peer === undefined) return this.addPeer(id, urls);
    const parsed = this.#parse(id, urls);
    if (parsed === null) return;
    peer.update(parsed);
    this.#options.logger.info('updated remote peer', this.#fields(id, urls));
  }

  removePeer(id: MemberId): void {
    const environment = this.#started();
    const fields = {
      'local-member-id': formatId(environment.self.memberId),
      'removed-remote-peer-id': formatId(id),
    };
    this.#removeRemote(id);
    const peer = this.#peers.get(id);
    // The log is applied again after a restart, and with it a removal.
    if (peer === undefined) return environment.logger.warn('skipped removing already removed peer', fields);
    this.#peers.delete(id);
    peer.stop();
    environment.logger.info('removed remote peer', fields);
  }

  send(messages: readonly Message[]): void {
    for (const message of messages) {
      const peer = this.#peers.get(message.to) ?? this.#remotes.get(message.to);
      peer?.send(message);
    }
    // Now, not after the turn: what follows in it may be a sync of the log, and the others should write at the same time.
    this.#flush();
  }

  sendSnapshot(message: Message, body: SnapshotBody): void {
    const { clock, host } = this.#started();
    const { to } = message;
    const peer = this.#peers.get(to);
    if (peer === undefined || this.#snapshots >= MAX_SNAPSHOTS) {
      body.close();
      if (!this.#isStopped) clock.defer(() => host.reportSnapshot(to, false));
      return;
    }
    this.#snapshots++;
    const counted: SnapshotBody = {
      sizeBytes: body.sizeBytes,
      readThen: (target, done) => body.readThen(target, done),
      close: () => {
        this.#snapshots--;
        body.close();
      },
    };
    peer.sendSnapshot(message, counted);
  }

  activeSinceMs(id: MemberId): number | null {
    return this.#peers.get(id)?.activeSinceMs ?? null;
  }

  request(url: string, request: PeerRequest, timeoutMs: number, done: PeerResponseCallback): void {
    const parsed = parsePeerUrls([url])?.[0];
    if (parsed === undefined || this.#isStopped) {
      const reason = this.#isStopped ? 'stopped' : `not a peer URL: ${url}`;
      return this.#options.clock.defer(() => done(null, reason));
    }
    const { contentType, headers } = request;
    const environment = this.#environment;
    this.#caller.call(
      {
        url: parsed,
        method: request.method,
        path: request.path,
        headers: {
          ...(environment === null ? {} : { 'X-Etcd-Cluster-ID': formatId(environment.self.clusterId) }),
          ...(contentType === undefined ? {} : { 'Content-Type': contentType }),
          ...headers,
        },
        body: request.body ?? (request.method === 'GET' ? null : EMPTY_BYTES),
        timeoutMs,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        reuse: false,
      },
      done,
    );
  }

  /** Messages of removed members, and those for others, are for nobody. False: this is one. */
  readonly #receive = (message: Message): boolean => {
    const { host, self, lines, metrics } = this.#started();
    if (this.#isStopped) return false;
    const { from, to } = message;
    if (to === self.memberId && !host.isRemoved(from)) {
      host.receive(message);
      return true;
    }
    metrics.peerReceivedFailuresTotal.labels(formatId(from)).inc();
    if (to === self.memberId) {
      lines.warn('rejected Raft message from removed member', () => ({
        'local-member-id': formatId(self.memberId),
        'removed-member-id': formatId(from),
      }));
    } else {
      lines.warn('rejected Raft message to mismatch member', () => ({
        'local-member-id': formatId(self.memberId),
        'mismatch-member-id': formatId(to),
      }));
    }
    return false;
  };

  #addRemote(id: MemberId, urls: readonly string[]): void {
    const environment = this.#started();
    if (this.#peers.has(id) || this.#remotes.has(id) || id === environment.self.memberId) return;
    const parsed = parsePeerUrls(urls);
    if (parsed === null || this.#remotes.size >= MAX_REMOTES || environment.host.isRemoved(id)) return;
    this.#remotes.set(id, new Remote(environment, id, parsed));
    environment.logger.info('added new remote peer', this.#fields(id, urls));
  }

  #removeRemote(id: MemberId): void {
    this.#remotes.get(id)?.stop();
    this.#remotes.delete(id);
  }

  #flushLater(writer: Flushable): void {
    this.#unflushed.push(writer);
    if (this.#unflushed.length > 1) return;
    this.#options.clock.defer(() => this.#flush());
  }

  #flush(): void {
    const writers = this.#unflushed;
    this.#unflushed = [];
    for (const unflushed of writers) unflushed.flush();
  }

  #reportUnreachable(id: MemberId): void {
    this.#unreachable.add(id);
    if (this.#unreachable.size > 1) return;
    this.#options.clock.defer(() => {
      const ids = [...this.#unreachable];
      this.#unreachable.clear();
      if (this.#isStopped) return;
      for (const lost of ids) this.#started().host.reportUnreachable(lost);
    });
  }

  #onRemoved(): void {
    if (this.#isRemoved || this.#isStopped) return;
    this.#isRemoved = true;
    this.#options.clock.defer(() => this.#started().host.onRemovedFromCluster());
  }

  #started(): PeerEnvironment {
    assert(this.#environment !== null, 'peer: the network is started first');
    return this.#environment;
  }

  /** Another member's word for where a member is may be no URL: then it is not connected, until there is a better one. */
  #parse(id: MemberId, urls: readonly string[]): readonly EtcdUrl[] | null {
    const parsed = parsePeerUrls(urls);
    if (parsed === null) this.#options.logger.error('not the URLs of a remote peer', this.#fields(id, urls));
    return parsed;
  }

  #fields(id: MemberId, urls: readonly string[]): Record<string, unknown> {
    return {
      'local-member-id': formatId(this.#started().self.memberId),
      'remote-peer-id': formatId(id),
      'remote-peer-urls': urls,
    };
  }
}
