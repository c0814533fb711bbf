/** Our network as two of the three members of a cluster whose third is a real etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Message, MessageType, Snapshot } from '@etcd/api/raftpb';
import { computeMemberId, newCluster } from '@etcd/storage/membership';
import type { SnapshotBody } from '../../../packages/server/src/peer/index.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { freePort } from '../../support/temporary.ts';
import { entry, FakeMember } from './fake-member.ts';

const TOKEN = 'etcd-cluster';
const ESTABLISHED = 'established TCP streaming connection with remote peer';

interface Cluster {
  readonly etcd: EtcdServer;
  readonly etcdId: bigint;
  readonly clusterId: bigint;
  readonly fakes: readonly [FakeMember, FakeMember];
}

async function startCluster(version: PeerVersion): Promise<Cluster> {
  const ports = [await freePort(), await freePort(), await freePort()];
  const urls = ports.map((port) => `http://127.0.0.1:${port}`);
  const names = ['real', 'one', 'two'];
  const { clusterId } = newCluster(TOKEN, new Map(names.map((name, i) => [name, [urls[i]!]])));
  const ids = urls.map((url) => computeMemberId([url], TOKEN));
  const fakes = [1, 2].map((i) => new FakeMember({ memberId: ids[i]!, clusterId, port: ports[i]! }));
  for (const fake of fakes) {
    for (const [i, id] of ids.entries()) if (id !== fake.memberId) fake.network.addPeer(id, [urls[i]!]);
  }
  const etcd = await EtcdServer.launch({
    program: peer(version, 'etcd'),
    name: 'real',
    peerPort: ports[0],
    flags: [
      `--initial-cluster=${names.map((name, i) => `${name}=${urls[i]}`).join(',')}`,
      '--strict-reconfig-check=false',
    ],
  });
  return { etcd, etcdId: ids[0]!, clusterId, fakes: [fakes[0]!, fakes[1]!] };
}

async function withCluster(version: PeerVersion, body: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await startCluster(version);
  try {
    await body(cluster);
  } finally {
    for (const fake of cluster.fakes) fake.close();
    await cluster.etcd.kill();
  }
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

/** The last index that the member was sent. */
function lastIndex(fake: FakeMember): number {
  return Math.max(...fake.ofType(MessageType.MsgApp).map(({ index, entries }) => index + entries.length));
}

function garbageSnapshot(from: bigint, to: bigint, term: number): Message {
  const snapshot = new Snapshot({ data: Buffer.from('{}') });
  snapshot.metadata.index = 1;
  snapshot.metadata.term = 1;
  return new Message({ type: MessageType.MsgSnap, from, to, term, snapshot });
}

function databaseOf(bytes: Uint8Array): SnapshotBody {
  let at = 0;
  return {
    sizeBytes: bytes.length,
    readThen(target, done) {
      const part = bytes.subarray(at, at + target.length);
      at += part.length;
      target.set(part);
      setImmediate(() => done(null, part.length));
    },
    close() {},
  };
}

for (const version of ['3.4', '3.5'] as const) {
  const options = { ...needs(`etcd ${version}`), timeout: 60_000 };

  test(`etcd ${version} leads members that our network connects`, options, () =>
    withCluster(version, async ({ etcd, etcdId, clusterId, fakes: [one, two] }) => {
      // Releases before 3.5 log differently.
      const ready =
        version === '3.4' ? 'serving client traffic insecurely' : 'ready to serve client requests';
      await etcd.waitForLog(ready, 20_000);
      // Two streams in each direction with each of the two other members.
      assert.ok(count(one.log(), ESTABLISHED) >= 8, one.log());
      const lines = () => etcd.log.filter(({ text }) => text.includes(ESTABLISHED)).length;
      await eventually('eight streams', () => lines() >= 8);
      assert.ok(one.network.activeSinceMs(etcdId) !== null);
      const etcdctl = (...args: string[]) =>
        run(peer(version, 'etcdctl'), [`--endpoints=${etcd.clientUrl}`, ...args], {
          env: { ETCDCTL_API: '3' },
        });
      for (let i = 0; i < 20; i++) {
        const { code, stderr } = await etcdctl('put', `key-${i}`, 'x'.repeat(i * 1000));
        assert.equal(code, 0, stderr);
      }
      assert.ok(one.ofType(MessageType.MsgApp).length >= 20);
      let next = 0;
      for (const message of one.ofType(MessageType.MsgApp)) {
        assert.deepEqual([message.from, message.to], [etcdId, one.memberId]);
        for (const [i, { index }] of message.entries.entries()) {
          assert.equal(index, message.index + i + 1);
          next = Math.max(next, index);
        }
      }
      const sizes = one
        .ofType(MessageType.MsgApp)
        .flatMap(({ entries }) => entries.map((e) => e.data.length));
      assert.ok(Math.max(...sizes) > 19_000, 'the largest value came');
      assert.ok(next >= 24, `${next} entries`);
      const members = await one.ask(etcd.peerUrl, '/members');
      assert.equal(members?.status, 200);
      assert.equal(members?.headers?.['x-etcd-cluster-id'], clusterId.toString(16));
      assert.equal(JSON.parse(Buffer.from(members!.body).toString()).length, 3);
      const removal = await etcdctl('member', 'remove', two.memberId.toString(16));
      assert.equal(removal.code, 0, removal.stderr);
      await eventually('told by status 410', () => two.isRemovedFromCluster);
      assert.equal(one.isRemovedFromCluster, false);
    }),
  );

  test(`etcd ${version} follows a member that our network connects`, options, () =>
    withCluster(version, async ({ etcdId, fakes: [one, two] }) => {
      await eventually('it leads', () => one.ofType(MessageType.MsgApp).length >= 3);
      for (const fake of [one, two]) fake.isSilent = true;
      const last = one.ofType(MessageType.MsgApp).at(-1)!;
      const term = last.term + 5;
      const lead = (changes: Partial<Message>): void => {
        const head = { from: one.memberId, to: etcdId, term, ...changes };
        one.network.send([new Message(head)]);
      };
      lead({ type: MessageType.MsgHeartbeat });
      await eventually('it follows', () =>
        one.ofType(MessageType.MsgHeartbeatResp).some((answer) => answer.term === term),
      );
      const isAcknowledged = (acknowledged: number): boolean =>
        one
          .ofType(MessageType.MsgAppResp)
          .some((answer) => answer.term === term && answer.index === acknowledged && !answer.reject);
      let index = lastIndex(one);
      const logTerm = last.entries.at(-1)?.term ?? last.logTerm;
      lead({ type: MessageType.MsgApp, index, logTerm, entries: [entry(term, index + 1)] });
      index++;
      await eventually('the first entry', () => isAcknowledged(index));
      // These continue, so that they take the short form.
      for (const size of [1, 16, 256]) {
        const entries = Array.from({ length: size }, (_, i) => entry(term, index + i + 1));
        lead({ type: MessageType.MsgApp, index, logTerm: term, entries, commit: index });
        index += size;
        await eventually(`${size} entries`, () => isAcknowledged(index));
      }
      const message = garbageSnapshot(one.memberId, etcdId, term);
      one.network.sendSnapshot(message, databaseOf(new Uint8Array(1_000_000)));
      await eventually('the report', () => one.snapshotReports.length > 0);
      assert.deepEqual(one.snapshotReports, [true]);
      // An old one: the log goes on.
      lead({ type: MessageType.MsgApp, index, logTerm: term, entries: [entry(term, index + 1)] });
      await eventually('one more entry', () => isAcknowledged(index + 1));
    }),
  );
}
