/**
 * Runs the bundle of etcdctl a few times against a server that answers anything, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcdctl.ts <bundle> <file>
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
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

/** Runs the program once; its end is not ours. */
function run(script: Script, command: string): Promise<void> {
  const { exit } = process;
  process.argv.splice(
    1,
    process.argv.length,
    'etcdctl',
    `--endpoints=unix://${socketPath}`,
    ...command.split(' '),
  );
  const module = { exports: {} };
  return new Promise<void>((resolve) => {
    process.exit = (() => resolve()) as unknown as typeof process.exit;
    script.runInThisContext()(createRequire(bundle), pathToFileURL(bundle).href, module, module.exports);
  }).then(() => {
    process.exit = exit;
  });
}

async function main(): Promise<void> {
  try {
    await serve();
    const script = new Script(readFileSync(bundle, 'latin1'), { filename: bundle });
    for (const command of COMMANDS) await run(script, command);
    const temporary = `${target}.tmp`;
    writeFileSync(temporary, script.createCachedData());
    renameSync(temporary, target);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
