/** Runs a case on both programs by turns, so that whatever else the machine does meets both alike. */
import { loadavg } from 'node:os';
import type { BenchCase, RunningCase, Sample } from './case.ts';
import type { Options } from './options.ts';

export interface CaseResult {
  readonly name: string;
  /** One sample a round. */
  readonly ours: readonly Sample[];
  /** Empty where only ours can do it. */
  readonly other: readonly Sample[];
  /** The machine's load average of the minute before it ended, our programs included; unknown for figures of before it was kept. */
  readonly load?: number;
}

interface Contender {
  readonly isOurs: boolean;
  readonly samples: Sample[];
  open(): Promise<RunningCase>;
}

export async function runCase(one: BenchCase, options: Options): Promise<CaseResult> {
  const contender = (isOurs: boolean): Contender => ({
    isOurs,
    samples: [],
    open: () =>
      one.open({ program: isOurs ? options.ours : options.against, isQuick: options.isQuick, isOurs }),
  });
  const ours = contender(true);
  const other = contender(false);
  const isAlone = one.isOursOnly === true || one.otherCan?.(options.against) === false;
  const contenders = isAlone ? [ours] : [ours, other];
  if (one.isFresh === true) await runFresh(contenders, options.rounds);
  else await runShared(contenders, options.rounds, options.isQuick);
  return { name: one.name, ours: ours.samples, other: other.samples, load: loadavg()[0]! };
}

/** Whoever went first goes second in the next round. */
function inTurn<T>(contenders: readonly T[], round: number): readonly T[] {
  return round % 2 === 0 ? contenders : contenders.toReversed();
}

async function runFresh(contenders: readonly Contender[], rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    for (const contender of inTurn(contenders, round)) {
      const running = await contender.open();
      try {
        contender.samples.push(await running.round());
      } finally {
        await running.close();
      }
    }
  }
}

async function runShared(contenders: readonly Contender[], rounds: number, isQuick: boolean): Promise<void> {
  const running: { contender: Contender; running: RunningCase }[] = [];
  try {
    for (const contender of contenders) running.push({ contender, running: await contender.open() });
    const warmUps = isQuick ? 0 : 1;
    for (let round = -warmUps; round < rounds; round++) {
      for (const { contender, running: own } of inTurn(running, round)) {
        const sample = await own.round();
        if (round >= 0) contender.samples.push(sample);
      }
    }
  } finally {
    for (const { running: own } of running) await own.close();
  }
}
