/**
 * Runs the bundle of etcdctl a few times against a server that answers anything, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcdctl.ts <bundle> <file>
 */
import { mkdtempSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import {
  encodePutResponse,
  encodeRangeResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
} from '@etcd/api/etcdserverpb';
import { KeyValue } from '@etcd/api/mvccpb';
import { NodeClock } from '@etcd/base/node';
import { GrpcServer, socketDuplex } from '@etcd/transport';
import { Bundle, main } from './bundle.ts';

const [bundle, target] = process.argv.slice(2) as [string, string];
const directory = mkdtempSync(`${tmpdir()}/etcdctl-build-`);
const socketPath = `${directory}/client`;

const header = new ResponseHeader({ clusterId: 1n, memberId: 2n, revision: 3, raftTerm: 4 });
const pair = new KeyValue({
  key: Buffer.from('k'),
  value: Buffer.from('v'),
  createRevision: 1,
  modRevision: 2,
  version: 3,
});
const ANSWERS = {
  '/etcdserverpb.KV/Put': encodePutResponse(new PutResponse({ header, prevKv: pair })),
  '/etcdserverpb.KV/Range': encodeRangeResponse(new RangeResponse({ header, kvs: [pair], count: 1 })),
};

const COMMANDS = [
  'put k v',
  'get k',
  'get k --prefix --limit 5',
  'get k -w json',
  'put k v -w fields',
  'version',
];

function serve(): Promise<void> {
  const grpc = new GrpcServer({ clock: new NodeClock() });
  for (const [path, answer] of Object.entries(ANSWERS)) grpc.unary(path, (call) => call.respond(answer));
  const server = net.createServer((socket) => grpc.accept(socketDuplex(socket)));
  return new Promise((resolve) => server.listen(socketPath, resolve));
}

main(directory, async () => {
  await serve();
  const program = new Bundle(bundle);
  for (const command of COMMANDS) {
    await program.run('etcdctl', `--endpoints=unix://${socketPath}`, ...command.split(' '));
  }
  program.save(target);
});
