/** Whether calls are answered: asked of the cluster, and asked of the proxy itself, over a connection in memory. */

import { RPC_ERRORS } from '@etcd/api';
import {
  encodeRangeRequest,
  encodeWatchRequest,
  RangeRequest,
  WatchCreateRequest,
  WatchRequest,
} from '@etcd/api/etcdserverpb';
import { KvService, WatchService } from '@etcd/api/services';
import { type Clock, GrpcCode } from '@etcd/base';
import { GrpcChannel, type GrpcServer, memoryDuplexPair } from '@etcd/transport';
import type { Callers } from '../upstream/caller.ts';
import type { Upstream } from '../upstream/upstream.ts';

const READ_TIMEOUT_MS = 1_000;
const WATCH_TIMEOUT_MS = 3_000;
const KEY = Buffer.from('a');
const { range } = KvService.methods;
const { watch } = WatchService.methods;

/** What is wrong with the cluster, in etcd's words; empty for nothing. */
export function clusterProblem(upstream: Upstream, callers: Callers): Promise<string> {
  const request = encodeRangeRequest(new RangeRequest({ key: KEY }));
  const { clock } = upstream;
  return new Promise((resolve) => {
    const done = (problem: string): void => {
      timer.cancel();
      resolve(problem);
    };
    const timer = clock.setTimer(READ_TIMEOUT_MS, () => {
      asked.cancel();
      done('GET ERROR:context deadline exceeded');
    });
    const deadlineMs = clock.now() + READ_TIMEOUT_MS;
    const asked = upstream.unary(range.path, request, callers.own, deadlineMs, (code, message) =>
      done(readProblem(code, message)),
    );
  });
}

/** What is wrong on the way through `server`; empty for nothing. */
export async function proxyProblem(server: GrpcServer, clock: Clock): Promise<string> {
  const [ours, theirs] = memoryDuplexPair({ clock });
  server.accept(theirs);
  const channel = new GrpcChannel(ours, { clock, authority: 'proxy' });
  try {
    return (await askRange(channel)) || (await askWatch(channel));
  } finally {
    channel.close();
  }
}

function askRange(channel: GrpcChannel): Promise<string> {
  const request = encodeRangeRequest(new RangeRequest({ key: KEY }));
  return new Promise((resolve) => {
    const answer = (code: number, message: string): void => resolve(readProblem(code, message));
    channel.unary(range.path, request, answer, { timeoutMs: READ_TIMEOUT_MS });
  });
}

function askWatch(channel: GrpcChannel): Promise<string> {
  return new Promise((resolve) => {
    const call = channel.call(
      watch.path,
      {
        onMessage: () => {
          resolve('');
          call.cancel();
        },
        onEnd: () => resolve('WATCH TIMEOUT'),
      },
      { timeoutMs: WATCH_TIMEOUT_MS },
    );
    const createRequest = new WatchCreateRequest({ key: KEY });
    call.write(encodeWatchRequest(new WatchRequest({ createRequest })));
  });
}

/** A cluster that says that one may not is there. */
function readProblem(code: number, message: string): string {
  const isThere = code === GrpcCode.OK || message === RPC_ERRORS.ErrGRPCPermissionDenied.message;
  return isThere ? '' : `GET ERROR:${message}`;
}
