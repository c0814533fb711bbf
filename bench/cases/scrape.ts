/** What a scrape of the metrics costs, and whether requests wait for it. */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchCase, SingleServer } from '../case.ts';
import type { JobResult } from '../load/job.ts';
import { ProbedEtcd } from '../subject/probed-etcd.ts';
import { cpuTimeUs } from '../subject/process-usage.ts';
import { fill } from './requests.ts';

const SPACE = { prefix: '/bench/', count: 100_000 };
const VALUE_BYTES = 256;
/** Two a second would be many; this many show what each does. */
const SCRAPE_PAUSE_MS = 50;

/** Scrapes until told not to. Returns how many there were. */
async function scrapeUntil(url: string, isOver: () => boolean): Promise<number> {
  let count = 0;
  for (; !isOver(); count++) {
    await (await fetch(url)).text();
    await sleep(SCRAPE_PAUSE_MS);
  }
  return count;
}

export const scrape100k: BenchCase = {
  name: 'scrape-100k',
  about:
    'scrapes of the metrics (compressed) of a member with 100,000 keys, alone, and beside puts one in flight',
  rows: [
    { figure: 'cpu', label: 'CPU per scrape', unit: 'ms', goal: { atMost: 5 } },
    { figure: 'put', label: 'p99 of puts without scrapes', unit: 'ms' },
    { figure: 'put-beside', label: 'p99 of puts with 20 scrapes/s', unit: 'ms' },
    { figure: 'delay', label: 'the difference', unit: 'ms', goal: { atMost: 1 } },
  ],
  open: async ({ program, isQuick }) => {
    const subject = await SingleServer.start(program);
    const { server } = subject;
    const url = `http://${server.target}/metrics`;
    const filling = { kind: 'fill', space: SPACE, valueBytes: VALUE_BYTES, perTxn: 100 } as const;
    const transactions = SPACE.count / filling.perTxn;
    await subject.run({ connections: 1, work: filling, pace: { inFlight: 1, requests: transactions } });
    const puts = (): Promise<JobResult> =>
      subject.run({
        connections: 1,
        work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
        pace: { inFlight: 1, requests: isQuick ? 500 : 10_000 },
      });
    return {
      round: async () => {
        const startUs = cpuTimeUs(server.pid);
        const scrapes = isQuick ? 5 : 50;
        for (let i = 0; i < scrapes; i++) await (await fetch(url)).text();
        const cpu = (cpuTimeUs(server.pid) - startUs) / 1000 / scrapes;
        const { latency: alone } = await puts();
        let isOver = false;
        const scraping = scrapeUntil(url, () => isOver);
        const { latency: beside } = await puts();
        isOver = true;
        await scraping;
        return { cpu, put: alone.p99, 'put-beside': beside.p99, delay: beside.p99 - alone.p99 };
      },
      close: () => subject.close(),
    };
  },
};

const SCRAPES = 100;
const WINDOW_MS = 15;
/** Above everything else on the machine; a member that looks at its turns for some milliseconds only leaves room enough for others. */
const PRIORITY = 10;

/** The longest turn of the event loop while a scrape is made: what a request may have waited for. */
export const scrapeTurns: BenchCase = {
  name: 'scrape-turns',
  about:
    'a member with 100,000 keys and puts one in flight: the longest turn of its event loop in each of a hundred scrapes of the metrics, and in ' +
    'as many moments without one; turns in which garbage is collected apart; the member goes before everything else on the machine, if it may',
  isOursOnly: true,
  rows: [
    { figure: 'alone', label: 'longest turn beside puts, median', unit: 'ms' },
    { figure: 'beside', label: 'the same with a scrape, median', unit: 'ms' },
    { figure: 'more', label: 'what the scrape adds to the median', unit: 'ms', goal: { atMost: 1 } },
    { figure: 'alone-99', label: 'longest turn beside puts, p99', unit: 'ms' },
    { figure: 'beside-99', label: 'the same with a scrape, p99', unit: 'ms' },
  ],
  open: async ({ program, isQuick }) => {
    const probed = await ProbedEtcd.start(program);
    const { subject } = probed;
    const url = `http://${subject.server.target}/metrics`;
    await fill(subject, SPACE, VALUE_BYTES);
    spawnSync('chrt', ['--all-tasks', '--fifo', '--pid', String(PRIORITY), String(probed.pid)]);
    const puts = (): Promise<JobResult> =>
      subject.run({
        connections: 1,
        work: { kind: 'put', space: SPACE, valueBytes: VALUE_BYTES },
        pace: { perSecond: 500, seconds: isQuick ? 1 : 12 },
      });
    const longest = async (work: () => Promise<unknown>): Promise<number> =>
      (await probed.watch(work, 'turns')).turns!.longestMs;
    return {
      round: async () => {
        const running = puts();
        const [alone, beside]: [number[], number[]] = [[], []];
        for (let i = 0; i < (isQuick ? 3 : SCRAPES); i++) {
          alone.push(await longest(() => sleep(WINDOW_MS)));
          beside.push(await longest(async () => await (await fetch(url)).text()));
          await sleep(SCRAPE_PAUSE_MS);
        }
        await running;
        return {
          alone: quantile(alone, 0.5),
          beside: quantile(beside, 0.5),
          more: quantile(beside, 0.5) - quantile(alone, 0.5),
          'alone-99': quantile(alone, 0.99),
          'beside-99': quantile(beside, 0.99),
        };
      },
      close: () => probed.close(),
    };
  },
};

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
