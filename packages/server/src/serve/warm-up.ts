/**
 * The first requests of a member would wait for the engine to find its way through code that has never run. So a member that is about to
 * serve asks itself a few questions first, over a connection in memory, and through a gRPC server that nobody else has: whoever counts
 * requests does not count these. Only what changes nothing is asked.
 */
import {
  Compare,
  encodeRangeRequest,
  encodeTxnRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { Clock } from '@etcd/base';
import { GrpcChannel, GrpcServer, memoryDuplexPair } from '@etcd/transport';
import type { EtcdServer } from '../member/index.ts';
import { createHandles } from '../metrics/index.ts';
import { registerUncounted } from '../rpc/index.ts';

/** A member that can't answer itself by then serves all the same. */
const LIMIT_MS = 200;

/** Calls `done` once, when the questions are answered or have taken too long. */
export function warmUp(server: EtcdServer, clock: Clock, done: () => void): GrpcServer {
  const grpc = new GrpcServer({ clock });
  registerUncounted(server, grpc, createHandles());
  const [theirs, ours] = memoryDuplexPair({ clock });
  grpc.accept(ours);
  const channel = new GrpcChannel(theirs, { clock, authority: 'warm-up' });
  const key = new Uint8Array(1);
  const range = new RangeRequest({ key });
  const txn = new TxnRequest({
    compare: [new Compare({ key })],
    success: [new RequestOp({ requestRange: range })],
    failure: [new RequestOp({ requestRange: range })],
  });
  let isDone = false;
  const finish = (): void => {
    if (isDone) return;
    isDone = true;
    timer.cancel();
    channel.close();
    done();
  };
  const timer = clock.setTimer(LIMIT_MS, finish);
  channel.unary('/etcdserverpb.KV/Range', encodeRangeRequest(range), () => {
    channel.unary('/etcdserverpb.KV/Txn', encodeTxnRequest(txn), finish);
  });
  return grpc;
}
