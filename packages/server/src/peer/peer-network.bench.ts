/**
 * What a MsgApp and its acknowledgement cost between two networks over loopback, both in this process:
 * `node packages/server/src/peer/peer-network.bench.ts`. Time is CPU time of the process, so that it is what both ends
 * together spend.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Entry, Message, MessageType } from '@etcd/api/raftpb';
import { SILENT_LOGGER } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { createHandles } from '../metrics/metric-table.ts';
import { HttpPeerNetwork, type PeerHost } from './index.ts';

const ENTRY_BYTES = 256;
const ROUNDS = 5;
/** Messages on their way at a time, in each round. */
const CASES = [
  { entries: 1, pending: 1, messages: 5000 },
  { entries: 1, pending: 64, messages: 100_000 },
  { entries: 16, pending: 1, messages: 5000 },
  { entries: 16, pending: 16, messages: 40_000 },
  { entries: 256, pending: 1, messages: 2000 },
  { entries: 256, pending: 8, messages: 4000 },
];

class Member {
  readonly network: HttpPeerNetwork;
  readonly server: Server;
  onMessage: (message: Message) => void = () => {};

  constructor(memberId: bigint) {
    this.network = new HttpPeerNetwork({
      clock: new NodeClock(),
      logger: SILENT_LOGGER,
      metrics: createHandles(),
      peerUrls: [],
      dialTimeoutMs: 1000,
    });
    const host: PeerHost = {
      memberId,
      clusterId: 1n,
      receive: (message) => this.onMessage(message),
      receiveSnapshot: () => {
        throw new Error('no snapshots here');
      },
      isRemoved: () => false,
      reportUnreachable: () => {},
      reportSnapshot: () => {},
      onPeerGone: () => {},
      onRemovedFromCluster: () => {},
      onRequest: (_, respond) => respond({ status: 404, body: new Uint8Array(0) }),
    };
    this.network.start(host);
    this.server = createServer((request, response) => this.network.http.onHttp1(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.network.stop();
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** Sends `messages` MsgApps of `count` entries, each answered, `pending` at a time; microseconds a message. */
function measure(
  leader: Member,
  follower: Member,
  { entries: count, pending, messages }: (typeof CASES)[number],
): Promise<number> {
  const data = new Uint8Array(ENTRY_BYTES);
  let index = 0;
  let sent = 0;
  let acknowledged = 0;
  const sendNext = (): void => {
    const entries = Array.from(
      { length: count },
      (_, i) => new Entry({ term: 1, index: index + i + 1, data }),
    );
    const head = { type: MessageType.MsgApp, from: 1n, to: 2n, term: 1, logTerm: 1 };
    leader.network.send([new Message({ ...head, index, entries, commit: index })]);
    index += count;
    sent++;
  };
  follower.onMessage = (message) => {
    if (message.type !== MessageType.MsgApp) return;
    const answered = message.index + message.entries.length;
    const head = { type: MessageType.MsgAppResp, from: 2n, to: 1n, term: 1 };
    follower.network.send([new Message({ ...head, index: answered })]);
  };
  return new Promise((resolve) => {
    const before = process.cpuUsage();
    leader.onMessage = () => {
      acknowledged++;
      if (sent < messages) sendNext();
      if (acknowledged < messages) return;
      const { user, system } = process.cpuUsage(before);
      resolve((user + system) / messages);
    };
    for (let i = 0; i < pending; i++) sendNext();
  });
}

const leader = new Member(1n);
const follower = new Member(2n);
const [leaderUrl, followerUrl] = [await leader.listen(), await follower.listen()];
leader.network.addPeer(2n, [followerUrl]);
follower.network.addPeer(1n, [leaderUrl]);
await new Promise((resolve) => setTimeout(resolve, 500));
for (const benchCase of CASES) {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    best = Math.min(best, await measure(leader, follower, benchCase));
  }
  const name = `${benchCase.entries} entries of ${ENTRY_BYTES} bytes, ${benchCase.pending} pending`;
  process.stdout.write(`${name.padEnd(42)} ${best.toFixed(1).padStart(8)} us/message\n`);
}
leader.close();
follower.close();
