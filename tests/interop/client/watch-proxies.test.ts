/**
 * Watches through proxies that cut, reset and delay connections: what each sees is compared with what was written. Servers are ours and
 * real etcd; the simulated twin of this test, with thousands of cuts, stands beside the client.
 */
import assert from 'node:assert/strict';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { connect } from '@etcd/client/node';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, REFERENCE, SUBJECT } from '../../support/programs.ts';
import { eventually, sleep } from '../../support/run.ts';
import { freePort } from '../../support/temporary.ts';

const HOST = '127.0.0.1';
const DISTURBANCE_MS = 3000;
const MAX_DELAY_MS = 15;

/** Before a server's port; what it does to connections is up to chance. */
class UnkindProxy {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  cutCount = 0;

  constructor(address: string, server: Server) {
    this.address = address;
    this.#server = server;
  }

  static async start(target: EtcdServer, random: SeededRandom): Promise<UnkindProxy> {
    const port = await freePort();
    const server = createServer((client) => {
      const upstream = dial(target.clientPort, HOST);
      for (const [source, sink] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        proxy.#sockets.add(source);
        source.on('error', () => {});
        source.on('close', () => {
          proxy.#sockets.delete(source);
          sink.destroy();
        });
        // Order is kept: the next piece is taken when the one before has gone.
        source.on('data', (piece) => {
          if (!random.chance(0.3)) {
            sink.write(piece);
            return;
          }
          source.pause();
          setTimeout(() => {
            sink.write(piece);
            source.resume();
          }, random.below(MAX_DELAY_MS));
        });
      }
    });
    const proxy = new UnkindProxy(`${HOST}:${port}`, server);
    await new Promise<void>((resolve) => server.listen(port, HOST, resolve));
    return proxy;
  }

  /** All connections are gone, with or without a reset. */
  cut(isReset: boolean): void {
    this.cutCount += this.#sockets.size;
    for (const socket of this.#sockets) {
      if (isReset) socket.resetAndDestroy();
      else socket.destroy();
    }
  }

  stop(): void {
    this.#server.close();
    this.cut(false);
  }
}

for (const [name, program] of [
  ['this etcd', SUBJECT],
  ['etcd 3.5', REFERENCE],
] as const) {
  test(`watches of ${name} through proxies lose no event and repeat none`, needs('etcd 3.5'), async () => {
    const seed = 7;
    const random = new SeededRandom(seed);
    const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
    const proxies = [await UnkindProxy.start(server, random), await UnkindProxy.start(server, random)];
    const direct = connect({ endpoints: [server.address] });
    const client = connect({ endpoints: proxies.map(({ address }) => address) });

    const written: { readonly key: string; readonly revision: number }[] = [];
    const write = async (): Promise<void> => {
      const key = `${random.pick(['a', 'b', 'c'])}/${random.below(20)}`;
      const isDelete = random.chance(0.2) && written.some((each) => each.key === key);
      const { header } = isDelete
        ? await direct.kv.delete(key)
        : await direct.kv.put(key, 'x'.repeat(random.below(2000)));
      // A delete of what is not there changes nothing.
      const revision = header?.revision ?? 0;
      if (revision > (written.at(-1)?.revision ?? 1)) written.push({ key, revision });
    };
    for (let i = 0; i < 20; i++) await write();

    const readers = ['', 'a/', 'b/', 'c/1'].map((prefix, i) => {
      const seen: string[] = [];
      const watch = client.watch(prefix, {
        prefix: true,
        startRevision: 2,
        ...(i === 1 ? { maxHeldBytes: 5000 } : {}),
      });
      const done = (async () => {
        for await (const { events } of watch) {
          for (const { kv } of events) seen.push(`${kv?.modRevision} ${Buffer.from(kv?.key ?? [])}`);
          if (i === 1) await sleep(random.below(5));
        }
      })();
      return { prefix, seen, watch, done };
    });

    const until = Date.now() + DISTURBANCE_MS;
    while (Date.now() < until) {
      await write();
      if (random.chance(0.1)) random.pick(proxies).cut(random.chance(0.5));
    }
    const expected = (prefix: string): string[] =>
      written.filter(({ key }) => key.startsWith(prefix)).map(({ key, revision }) => `${revision} ${key}`);
    for (const { prefix, seen, watch, done } of readers) {
      await eventually(
        `all events of "${prefix}" have come`,
        () => seen.length >= expected(prefix).length,
        20_000,
      );
      await watch.return();
      await done;
      assert.deepEqual(seen, expected(prefix), `prefix "${prefix}", seed ${seed}`);
    }
    assert.ok(
      proxies.every(({ cutCount }) => cutCount > 10),
      String(proxies.map(({ cutCount }) => cutCount)),
    );
    client.close();
    direct.close();
    for (const proxy of proxies) proxy.stop();
    await server.stop();
  });
}
