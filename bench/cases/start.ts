/** A member that has just been started: what the start costs, and whether its first requests are slow ones. */
import {
  CompactionRequest,
  Compare,
  encodeCompactionRequest,
  encodePutRequest,
  encodeTxnRequest,
  PutRequest,
  RequestOp,
  TxnRequest,
} from '@etcd/api/etcdserverpb';
import type { BenchCase, RunningCase, Sample, Stage } from '../case.ts';
import { callOnce, openChannel } from '../load/connect.ts';
import { EtcdProcess, memberAddresses } from '../subject/etcd-process.ts';
import { cpuTimeUs } from '../subject/process-usage.ts';

const TXN = '/etcdserverpb.KV/Txn';
const PUT = '/etcdserverpb.KV/Put';
const COMPACT = '/etcdserverpb.KV/Compact';
const CALL_TIMEOUT_MS = 60_000;
/** One start says little about starts. */
const STARTS = 5;

function createRequest(key: string): Uint8Array {
  const put = new PutRequest({ key: Buffer.from(key), value: Buffer.alloc(256) });
  const compare = [new Compare({ key: put.key, target: 2 })];
  return encodeTxnRequest(new TxnRequest({ compare, success: [new RequestOp({ requestPut: put })] }));
}

/** Milliseconds of two calls of each kind, the first ones that the server gets. */
async function firstCalls(target: string): Promise<Record<string, number>> {
  const channel = await openChannel(target);
  const timed = async (path: string, request: Uint8Array): Promise<number> => {
    const startMs = performance.now();
    await callOnce(channel, path, request, CALL_TIMEOUT_MS);
    return performance.now() - startMs;
  };
  try {
    const txn = [await timed(TXN, createRequest('a')), await timed(TXN, createRequest('b'))];
    const put = encodePutRequest(new PutRequest({ key: Buffer.from('a'), value: Buffer.alloc(256) }));
    const puts = [await timed(PUT, put), await timed(PUT, put)];
    const compact = (revision: number): Uint8Array =>
      encodeCompactionRequest(new CompactionRequest({ revision, physical: true }));
    const compactions = [await timed(COMPACT, compact(3)), await timed(COMPACT, compact(4))];
    return {
      txn: txn[0]!,
      'txn-again': txn[1]!,
      put: puts[0]!,
      'put-again': puts[1]!,
      compaction: compactions[0]!,
      'compaction-again': compactions[1]!,
    };
  } finally {
    channel.close();
  }
}

async function startOnce(program: string): Promise<Record<string, number>> {
  const [address] = await memberAddresses(1);
  const startMs = performance.now();
  const server = EtcdProcess.launch(program, address!, [address!]);
  try {
    await server.answers();
    const elapsed = performance.now() - startMs;
    const cpu = cpuTimeUs(server.pid) / 1000;
    return { cpu, elapsed, ...(await firstCalls(server.target)) };
  } finally {
    await server.dispose();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

async function open({ program, isQuick }: Stage): Promise<RunningCase> {
  return await Promise.resolve({
    round: async (): Promise<Sample> => {
      const starts: Record<string, number>[] = [];
      for (let i = 0; i < (isQuick ? 1 : STARTS); i++) starts.push(await startOnce(program));
      const sample = Object.fromEntries(
        Object.keys(starts[0]!).map((figure) => [figure, median(starts.map((start) => start[figure]!))]),
      );
      return { ...sample, 'txn-ratio': sample['txn']! / sample['txn-again']! };
    },
    close: () => Promise.resolve(),
  });
}

export const start: BenchCase = {
  name: 'start',
  about: `${STARTS} starts of a new member, medians: what it takes until a linearizable Range is answered, then its first requests, one in flight`,
  isFresh: true,
  rows: [
    { figure: 'cpu', label: 'CPU until it answers', unit: 'ms', goal: { atMost: 150 } },
    { figure: 'elapsed', label: 'until it answers', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'txn', label: 'first transaction', unit: 'ms' },
    { figure: 'txn-again', label: 'second transaction', unit: 'ms' },
    { figure: 'txn-ratio', label: 'first / second', unit: '×', goal: { atMost: 2 } },
    { figure: 'put', label: 'first put', unit: 'ms' },
    { figure: 'put-again', label: 'second put', unit: 'ms' },
    { figure: 'compaction', label: 'first compaction', unit: 'ms' },
    { figure: 'compaction-again', label: 'second compaction', unit: 'ms' },
  ],
  open,
};
