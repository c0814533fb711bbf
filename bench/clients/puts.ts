/**
 * Puts keys with the client library, so many at once, and prints what it took as JSON. `go/main.go` does the same with Go etcd's client, and
 * `etcd3.mjs` with the npm package of that name, where it is installed.
 *
 *     node bench/clients/puts.ts <host:port> <puts> <at once>
 */
import { connect } from '@etcd/client/node';

const KEYS = 10_000;
const VALUE_BYTES = 256;
/** As a part of what is measured afterwards. */
const WARM_UP = 0.25;

const [endpoint = '', puts = '100000', atOnce = '1000'] = process.argv.slice(2);
const value = Buffer.alloc(VALUE_BYTES, 'v');

await using client = connect({ endpoints: [endpoint] });

async function put(count: number): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await client.kv.put(`/bench/${next++ % KEYS}`, value);
  };
  await Promise.all(Array.from({ length: Number(atOnce) }, worker));
}

await put(Number(puts) * WARM_UP);
const usage = process.cpuUsage();
const startMs = performance.now();
await put(Number(puts));
const seconds = (performance.now() - startMs) / 1000;
const { user, system } = process.cpuUsage(usage);
const figures = { cpuUs: (user + system) / Number(puts), perSecond: Number(puts) / seconds };
console.log(JSON.stringify(figures));
