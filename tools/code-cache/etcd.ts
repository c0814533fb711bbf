/**
 * Runs the bundle of a server for a while, with requests of each kind that has to be quick, and saves the code that V8 has made of it:
 *
 *     node tools/code-cache/etcd.ts <bundle> <file>
 */
import { mkdtempSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import {
  CompactionRequest,
  Compare,
  DeleteRangeRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
  encodeLeaseGrantRequest,
  encodePutRequest,
  encodeRangeRequest,
  encodeTxnRequest,
  encodeWatchRequest,
  LeaseGrantRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { GrpcChannel, socketDuplex } from '@etcd/transport';
import { Bundle, main } from './bundle.ts';

const RETRY_MS = 20;

const [bundle, target] = process.argv.slice(2) as [string, string];
const directory = mkdtempSync(`${tmpdir()}/etcd-build-`);
const socketPath = `${directory}/client`;
const clock = new NodeClock();

function start(): Bundle {
  const program = new Bundle(bundle);
  program.start(
    'etcd',
    `--data-dir=${directory}/data`,
    `--listen-client-urls=unix://${socketPath}`,
    `--advertise-client-urls=unix://${socketPath}`,
    '--listen-peer-urls=http://127.0.0.1:0',
    '--log-outputs=/dev/null',
    '--unsafe-no-fsync',
  );
  return program;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

async function connect(): Promise<GrpcChannel> {
  for (;;) {
    const socket = net.connect(socketPath);
    const isOpen = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return new GrpcChannel(socketDuplex(socket), { clock, authority: 'localhost' });
    await pause();
  }
}

function call(channel: GrpcChannel, path: string, request: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.unary(`/etcdserverpb.${path}`, request, (code, message) => {
      if (code === GrpcCode.OK) resolve();
      else reject(new Error(`${path}: ${message}`));
    });
  });
}

/** What Kubernetes does, in small. */
async function serve(channel: GrpcChannel, round: number): Promise<void> {
  const key = Buffer.from(`/registry/pods/${round}`);
  const value = Buffer.alloc(256, 'x');
  const put = new PutRequest({ key, value });
  const compare = [new Compare({ key, target: 2, modRevision: 0 })];
  const success = [new RequestOp({ requestPut: put })];
  const failure = [new RequestOp({ requestRange: new RangeRequest({ key }) })];
  await call(channel, 'Lease/LeaseGrant', encodeLeaseGrantRequest(new LeaseGrantRequest({ ttl: 60 })));
  await call(channel, 'KV/Txn', encodeTxnRequest(new TxnRequest({ compare, success, failure })));
  await call(channel, 'KV/Put', encodePutRequest(put));
  await call(channel, 'KV/Range', encodeRangeRequest(new RangeRequest({ key })));
  const all = new RangeRequest({ key: Buffer.from('/'), rangeEnd: Buffer.from('0'), limit: 500 });
  await call(channel, 'KV/Range', encodeRangeRequest(all));
  await call(channel, 'KV/DeleteRange', encodeDeleteRangeRequest(new DeleteRangeRequest({ key })));
  await call(channel, 'KV/Compact', encodeCompactionRequest(new CompactionRequest({ revision: 2 + round })));
  for (const path of ['Maintenance/Status', 'Cluster/MemberList'])
    await call(channel, path, new Uint8Array());
}

function watch(channel: GrpcChannel): void {
  const watcher = channel.call('/etcdserverpb.Watch/Watch', { onMessage: () => {}, onEnd: () => {} });
  const createRequest = new WatchCreateRequest({ key: Buffer.from('/'), rangeEnd: Buffer.from('0') });
  const request = encodeWatchRequest(new WatchRequest({ createRequest }));
  watcher.write(request, 0, request.length);
}

main(directory, async () => {
  const program = start();
  const channel = await connect();
  watch(channel);
  for (let round = 0; round < 3; round++) await serve(channel, round);
  program.save(target);
});
