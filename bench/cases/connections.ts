/** Very many connections that do little each, as the clients of a large cluster that nobody pools. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type BenchCase,
  GENERATOR_ROW,
  generatorShare,
  type RunningCase,
  SingleServer,
  type Stage,
} from '../case.ts';
import { residentMemory } from '../subject/process-usage.ts';

const KB = 1000;
/** Ours; the other program is given what it is known to take. */
const OUR_CONNECTIONS = 16_000;
const THEIR_CONNECTIONS = 1_000;
const QUICK_SHARE = 100;
const SPACE = { prefix: '/bench/', count: 100_000 };
const VALUE_BYTES = 256;
const SECONDS = 10;
const IDLE_SECONDS = 5;
const SAMPLE_MS = 250;

async function open({ program, isQuick, isOurs }: Stage): Promise<RunningCase> {
  const subject = await SingleServer.start(program);
  const many = isOurs ? OUR_CONNECTIONS : THEIR_CONNECTIONS;
  const connections = isQuick ? many / QUICK_SHARE : many;
  const seconds = isQuick ? 1 : SECONDS;
  const memory = (): number => residentMemory(subject.server.pid).bytes;
  /** What resides while so many are open of which hardly any is used. */
  const whileOpen = async (count: number): Promise<number> => {
    let isOver = false;
    const job = subject
      .run({
        connections: count,
        work: { kind: 'get', space: SPACE, isSerializable: true },
        pace: { perSecond: 10, seconds: isQuick ? 1 : IDLE_SECONDS },
      })
      .finally(() => {
        isOver = true;
      });
    let last = memory();
    while (!isOver) {
      last = memory();
      await sleep(SAMPLE_MS);
    }
    await job;
    return last;
  };
  return {
    round: async () => {
      const before = await whileOpen(1);
      const idle = await whileOpen(connections);
      const result = await subject.run({
        connections,
        work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
        pace: { eachPerSecond: 1, seconds },
      });
      return {
        connections,
        idle: (idle - before) / KB / connections,
        served: result.operations / (connections * seconds),
        p50: result.latency.p50,
        p99: result.latency.p99,
        cpu: result.serverCpuUs / result.operations,
        generator: generatorShare(result),
      };
    },
    close: () => subject.close(),
  };
}

export const manyConnections: BenchCase = {
  name: 'connections-16k',
  about: '16,000 connections to ours and 1,000 to the other, each with a put of 256 bytes a second',
  isLong: true,
  isFresh: true,
  rows: [
    { figure: 'connections', label: 'connections', unit: '×' },
    { figure: 'idle', label: 'resident memory per idle connection', unit: 'kB', goal: { atMost: 15 } },
    { figure: 'served', label: 'share of the puts that was served', unit: '×', goal: { atLeast: 1 } },
    { figure: 'p50', label: 'median latency', unit: 'ms' },
    { figure: 'p99', label: 'p99 latency', unit: 'ms', goal: { ratioAtMost: 1 } },
    { figure: 'cpu', label: 'CPU per put', unit: 'us' },
    GENERATOR_ROW,
  ],
  open,
};
