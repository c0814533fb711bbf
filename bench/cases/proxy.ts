/** Watch fan-out through a proxy: what the proxy costs, and how many watches it keeps at the member. */
import { type BenchCase, GENERATOR_ROW, generatorShare, perSecond } from '../case.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { EtcdProcess } from '../subject/etcd-process.ts';
import { ProxyProcess } from '../subject/proxy-process.ts';

const ONE_KEY = { prefix: '/watched/', count: 1 };
const CONNECTIONS = 20;
const WATCHERS_EACH = 50;
/** As much as the slower of the two can deliver on a busy machine. */
const PUTS_PER_SECOND = 50;
const LOOK_MS = 50;

export const proxyWatch1000: BenchCase = {
  name: 'proxy-watch-1000',
  about:
    '1,000 equal watchers on 20 connections to a grpc-proxy, a stream each; 50 puts of 64 bytes a second through it; CPU of the proxy alone',
  rows: [
    { figure: 'cpu', label: 'CPU per event', unit: 'us', goal: { ratioAtMost: 1 / 3 } },
    { figure: 'rate', label: 'events per second', unit: 'per s' },
    { figure: 'upstream', label: 'watches at the member', unit: '×', goal: { atMost: 1 } },
    GENERATOR_ROW,
  ],
  open: async ({ program, isQuick }) => {
    const server = await EtcdProcess.start(program);
    const proxy = await ProxyProcess.start(program, server.target);
    const generator = new LoadGenerator();
    const seconds = isQuick ? 1 : 8;
    return {
      round: async () => {
        let watches = 0;
        const looking = setInterval(() => {
          void watchesAt(server.target).then((count) => {
            if (count > 0) watches = count;
          });
        }, LOOK_MS);
        const result = await generator
          .run({
            targets: [proxy.target],
            serverPids: [proxy.pid],
            connections: 1,
            work: { kind: 'put', space: ONE_KEY, valueBytes: 64 },
            pace: { perSecond: PUTS_PER_SECOND, seconds },
            watch: {
              connections: CONNECTIONS,
              watchersPerConnection: WATCHERS_EACH,
              key: ONE_KEY.prefix,
              rangeEnd: '/watched0',
              isKubernetes: false,
              progressEveryMs: 0,
              // That of Go loses some, so nobody waits for all.
              eventsEach: 0,
            },
          })
          .finally(() => clearInterval(looking));
        return {
          cpu: result.serverCpuUs / result.events,
          rate: perSecond(result.events, result.elapsedMs),
          upstream: watches,
          generator: generatorShare(result),
        };
      },
      close: async () => {
        generator.close();
        await proxy.dispose();
        await server.dispose();
      },
    };
  },
};

/** As the member counts them. */
async function watchesAt(target: string): Promise<number> {
  const answer = await fetch(`http://${target}/metrics`);
  const text = await answer.text();
  return Number(/^etcd_debugging_mvcc_watcher_total (\S+)$/m.exec(text)?.[1] ?? 0);
}
