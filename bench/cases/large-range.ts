/** Large answers: how fast they come, and what memory they take while they are made. */
import {
  type BenchCase,
  GENERATOR_ROW,
  generatorShare,
  MB,
  type RunningCase,
  SingleServer,
  type Stage,
} from '../case.ts';
import { resetPeakMemory, residentMemory } from '../subject/process-usage.ts';
import { fill } from './requests.ts';

const SPACE = { prefix: '/large/', count: 10_000 };
const VALUE_BYTES = 1_000;

async function open({ program, isQuick }: Stage, isStreamed: boolean): Promise<RunningCase> {
  const subject = await SingleServer.start(program);
  await fill(subject, SPACE, VALUE_BYTES);
  // What a server takes in order to serve anything at all is not the answer's memory.
  await subject.run({
    connections: 100,
    work: { kind: 'get', space: SPACE, isSerializable: false },
    pace: { inFlight: 10, requests: isQuick ? 1_000 : 50_000 },
  });
  const requests = isQuick ? 5 : 50;
  return {
    round: async () => {
      const { pid } = subject.server;
      const before = residentMemory(pid).bytes;
      resetPeakMemory(pid);
      const result = await subject.run({
        connections: 1,
        work: { kind: 'range-all', space: SPACE, isStreamed },
        pace: { inFlight: 1, requests },
      });
      const extraBytes = residentMemory(pid).peakBytes - before;
      const answerBytes = result.answerBytes / result.operations;
      return {
        rate: result.answerBytes / MB / (result.elapsedMs / 1000),
        cpu: result.serverCpuUs / (result.answerBytes / MB),
        extra: extraBytes / MB,
        share: extraBytes / answerBytes,
        generator: generatorShare(result),
      };
    },
    close: () => subject.close(),
  };
}

export const range10k: BenchCase = {
  name: 'range-10k',
  about: 'Range of 10,000 keys with values of 1 kB, one after another, on a server of its own each round',
  isFresh: true,
  rows: [
    { figure: 'rate', label: 'answers', unit: 'MB/s', goal: { ratioAtLeast: 1 } },
    { figure: 'cpu', label: 'CPU per MB', unit: 'us' },
    { figure: 'share', label: 'peak extra memory / answer', unit: '×', goal: { atMost: 2 } },
    GENERATOR_ROW,
  ],
  open: (stage) => open(stage, false),
};

export const rangeStream10k: BenchCase = {
  name: 'range-stream-10k',
  about: 'RangeStream of the same 10,000 keys; etcd 3.5 does not have it',
  isFresh: true,
  isOursOnly: true,
  rows: [
    { figure: 'rate', label: 'answers', unit: 'MB/s' },
    { figure: 'extra', label: 'peak extra memory', unit: 'MB', goal: { atMost: 4 } },
    GENERATOR_ROW,
  ],
  open: (stage) => open(stage, true),
};
