/** {@link puts.ts} with the npm package `etcd3`: `node bench/clients/etcd3.mjs <directory where it is installed> <host:port> <puts> <at once>`. */
import { createRequire } from 'node:module';

const [directory, endpoint, puts = '20000', atOnce = '1000'] = process.argv.slice(2);
const { Etcd3 } = createRequire(`${directory}/`)('etcd3');
const client = new Etcd3({ hosts: endpoint });
const value = Buffer.alloc(256, 'v');

async function put(count) {
  let next = 0;
  const worker = async () => {
    while (next < count) await client.put(`/bench/${next++ % 10_000}`).value(value);
  };
  await Promise.all(Array.from({ length: Number(atOnce) }, worker));
}

await put(puts / 4);
const usage = process.cpuUsage();
const startMs = performance.now();
await put(Number(puts));
const seconds = (performance.now() - startMs) / 1000;
const { user, system } = process.cpuUsage(usage);
console.log(JSON.stringify({ cpuUs: (user + system) / puts, perSecond: puts / seconds }));
client.close();
