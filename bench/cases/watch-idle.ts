/** What a watch stream costs that nothing is sent on. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchCase, SingleServer } from '../case.ts';
import { endOf } from '../load/template.ts';
import { residentMemory } from '../subject/process-usage.ts';

const KB = 1000;
const CONNECTIONS = 100;
const STREAMS_PER_CONNECTION = 200;
const QUIET = { prefix: '/quiet/', count: 1 };
/** Opening is over long before, and what it has left behind is collected. */
const OPEN_SECONDS = 20;
const SAMPLE_MS = 250;

export const watchIdle: BenchCase = {
  name: 'watch-idle',
  about: '20,000 watch streams with a watcher each, on 100 connections, that nothing happens to',
  isFresh: true,
  rows: [{ figure: 'stream', label: 'resident memory per stream', unit: 'kB', goal: { atMost: 8 } }],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    const perConnection = isQuick ? 2 : STREAMS_PER_CONNECTION;
    const ask = (connections: number, seconds: number) =>
      subject.run({
        connections: 1,
        work: { kind: 'get', space: { prefix: '/bench/', count: 1 }, isSerializable: true },
        pace: { perSecond: 100, seconds },
        ...(connections === 0 ? {} : { watch: watchOf(connections, perConnection) }),
      });
    return {
      round: async () => {
        const { pid } = subject.server;
        await ask(0, isQuick ? 1 : 5);
        const before = residentMemory(pid).bytes;
        let isOver = false;
        const open = ask(CONNECTIONS, isQuick ? 1 : OPEN_SECONDS).finally(() => {
          isOver = true;
        });
        let last = before;
        // The last look is at most a moment before the streams are closed.
        while (!isOver) {
          last = residentMemory(pid).bytes;
          await sleep(SAMPLE_MS);
        }
        await open;
        return { stream: (last - before) / KB / (CONNECTIONS * perConnection) };
      },
      close: () => subject.close(),
    };
  },
};

function watchOf(connections: number, watchersPerConnection: number) {
  return {
    connections,
    watchersPerConnection,
    key: QUIET.prefix,
    rangeEnd: endOf(QUIET).toString(),
    isKubernetes: false,
    progressEveryMs: 0,
    eventsEach: 0,
  };
}
