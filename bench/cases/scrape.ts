/** What a scrape of the metrics costs, and whether requests wait for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchCase, SingleServer } from '../case.ts';
import type { JobResult } from '../load/job.ts';
import { cpuTimeUs } from '../subject/process-usage.ts';

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
