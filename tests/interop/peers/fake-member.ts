/**
 * A member without log or state machine, for tests of the network: it votes for whoever asks, and acknowledges whatever it is
 * sent, so that a real etcd beside it can lead.
 */
import { createServer, type Server } from 'node:http';
import { Entry, Message, MessageType } from '@etcd/api/raftpb';
import { NodeClock } from '@etcd/base/node';
import type { DbReceiver } from '@etcd/storage/snap';
import { createLogger, MemorySink } from '../../../packages/host/src/logging/index.ts';
import { createHandles } from '../../../packages/server/src/metrics/metric-table.ts';
import {
  HttpPeerNetwork,
  type PeerHost,
  type PeerRequest,
  type PeerResponse,
} from '../../../packages/server/src/peer/index.ts';

export interface FakeMemberOptions {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly port: number;
}

export class FakeMember implements PeerHost {
  readonly memberId: bigint;
  readonly clusterId: bigint;
  readonly network: HttpPeerNetwork;
  readonly received: Message[] = [];
  readonly snapshotReports: boolean[] = [];
  isRemovedFromCluster = false;
  /** It no longer answers: a test speaks for it. */
  isSilent = false;
  readonly #sink = new MemorySink();
  readonly #server: Server;

  constructor({ memberId, clusterId, port }: FakeMemberOptions) {
    this.memberId = memberId;
    this.clusterId = clusterId;
    const clock = new NodeClock();
    this.network = new HttpPeerNetwork({
      clock,
      logger: createLogger({ level: 'info', sink: this.#sink, clock }),
      metrics: createHandles(),
      peerUrls: [`http://127.0.0.1:${port}`],
      dialTimeoutMs: 1000,
    });
    this.network.start(this);
    this.#server = createServer((request, response) => this.network.http.onHttp1(request, response));
    this.#server.listen(port, '127.0.0.1');
  }

  close(): void {
    this.network.stop();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  log(): string {
    return this.#sink.lines().join('');
  }

  ofType(type: number): Message[] {
    return this.received.filter((message) => message.type === type);
  }

  receive(message: Message): void {
    this.received.push(message);
    if (this.isSilent) return;
    const type = ANSWERS.get(message.type);
    if (type === undefined) return;
    const index = message.type === MessageType.MsgApp ? message.index + message.entries.length : 0;
    const { from: to, term, context } = message;
    this.network.send([new Message({ type, from: this.memberId, to, term, index, context })]);
  }

  receiveSnapshot(): DbReceiver {
    throw new Error('nobody sends a snapshot to a fake member');
  }

  isRemoved(): boolean {
    return false;
  }

  reportUnreachable(): void {}

  reportSnapshot(_: bigint, isDelivered: boolean): void {
    this.snapshotReports.push(isDelivered);
  }

  onPeerGone(): void {}

  onRemovedFromCluster(): void {
    this.isRemovedFromCluster = true;
  }

  onRequest(request: PeerRequest, respond: (response: PeerResponse) => void): void {
    const isVersion = request.path === '/version';
    const body = isVersion ? '{"etcdserver":"3.4.0","etcdcluster":"not_decided"}' : '';
    respond({ status: isVersion ? 200 : 404, body: Buffer.from(body) });
  }

  /** Asks the member at `url`. */
  ask(url: string, path: string): Promise<PeerResponse | null> {
    return new Promise((resolve) =>
      this.network.request(url, { method: 'GET', path }, 5000, (response) => resolve(response)),
    );
  }
}

export function entry(term: number, index: number): Entry {
  return new Entry({ term, index });
}

const ANSWERS: ReadonlyMap<number, number> = new Map<number, number>([
  [MessageType.MsgPreVote, MessageType.MsgPreVoteResp],
  [MessageType.MsgVote, MessageType.MsgVoteResp],
  [MessageType.MsgApp, MessageType.MsgAppResp],
  [MessageType.MsgHeartbeat, MessageType.MsgHeartbeatResp],
]);
