/**
 * Runs the bundle of etcdadm on a small snapshot, there and back, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcdadm.ts <bundle> <file>
 */
import { createHash } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import {
  encodeHashKVResponse,
  encodeRangeResponse,
  encodeSnapshotResponse,
  encodeStatusResponse,
  HashKVResponse,
  RangeResponse,
  ResponseHeader,
  SnapshotResponse,
  StatusResponse,
} from '@etcd/api/etcdserverpb';
import { NodeClock } from '@etcd/base/node';
import { GrpcServer, socketDuplex } from '@etcd/transport';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { Bundle, main } from './bundle.ts';

const [bundle, target] = process.argv.slice(2) as [string, string];
const directory = mkdtempSync(`${tmpdir()}/etcdadm-build-`);
const socketPath = `${directory}/client`;
const store = `${directory}/store`;
const PIECE_BYTES = 32 * 1024;
const PIECES = 64;

const header = new ResponseHeader({ clusterId: 1n, memberId: 2n, revision: 3, raftTerm: 4 });
const status = new StatusResponse({ header, version: '3.7.3', leader: 2n, raftAppliedIndex: 1 });
const ANSWERS = {
  '/etcdserverpb.Maintenance/Status': encodeStatusResponse(status),
  '/etcdserverpb.Maintenance/HashKV': encodeHashKVResponse(new HashKVResponse({ header, hash: 1 })),
  '/etcdserverpb.KV/Range': encodeRangeResponse(new RangeResponse({ header, count: 1 })),
};

function serve(): Promise<void> {
  const grpc = new GrpcServer({ clock: new NodeClock() });
  for (const [path, answer] of Object.entries(ANSWERS)) grpc.unary(path, (call) => call.respond(answer));
  grpc.serverStream('/etcdserverpb.Maintenance/Snapshot', (call) => {
    const piece = Buffer.alloc(PIECE_BYTES);
    const digest = createHash('sha256');
    for (let i = 0; i < PIECES; i++) {
      digest.update(piece);
      call.write(encodeSnapshotResponse(new SnapshotResponse({ blob: piece })));
    }
    call.write(encodeSnapshotResponse(new SnapshotResponse({ blob: digest.digest() })));
    call.end();
  });
  const server = net.createServer((socket) => grpc.accept(socketDuplex(socket)));
  return new Promise((resolve) => server.listen(socketPath, resolve));
}

main(directory, async () => {
  await serve();
  const recipient = await identityToRecipient(await generateX25519Identity());
  const program = new Bundle(bundle);
  const backup = ['backup', '--store', store, '--endpoints', `unix://${socketPath}`];
  await program.run('etcdadm', ...backup, '--recipient', recipient);
  await program.run('etcdadm', 'backup', 'list', '--store', store);
  // The program asks for it when it is needed; V8 takes back only the code of one that has the flags that it starts with.
  setFlagsFromString('--no-expose-gc');
  program.save(target);
});
