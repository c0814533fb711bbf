import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUrlList, SILENT_LOGGER } from '@etcd/base';
import type { SrvTarget } from '@etcd/host/net';
import { DiscoveryError } from './discovery-error.ts';
import { peersFromSrv } from './srv-peers.ts';

const HOSTS: Readonly<Record<string, string>> = {
  'a.test': '10.0.0.1',
  'b.test:1,evil=http://c.test': '10.0.0.2',
  'b.test': '10.0.0.2',
  'c.test': '10.0.0.3',
  '10.0.0.1': '10.0.0.1',
};

interface Asked {
  readonly records?: Readonly<Record<string, readonly SrvTarget[]>>;
  readonly urls?: string;
  readonly serviceName?: string;
  readonly name?: string;
}

function peers({
  records = {},
  urls = 'http://a.test:2380',
  serviceName = '',
  name = 'm1',
}: Asked): Promise<string> {
  return peersFromSrv({
    domain: 'example.test',
    serviceName,
    name,
    advertisePeerUrls: parseUrlList(urls).urls!,
    lookUp: (name) => {
      const found = records[name];
      return found === undefined
        ? Promise.reject(new Error(`lookup ${name}: no such host`))
        : Promise.resolve(found);
    },
    resolveHost: (host) => {
      const address = HOSTS[host];
      return address === undefined
        ? Promise.reject(new Error(`lookup ${host}: no such host`))
        : Promise.resolve(address);
    },
    logger: SILENT_LOGGER,
  });
}

const PLAIN = '_etcd-server._tcp.example.test';
const SECURE = '_etcd-server-ssl._tcp.example.test';
const THREE = ['a.test', 'b.test', 'c.test'].map((host) => ({ host, port: 2380 }));

test('a member finds itself by the place of its URL, and the others get numbers', async () => {
  assert.equal(
    await peers({ records: { [PLAIN]: THREE } }),
    'm1=http://a.test:2380,0=http://b.test:2380,1=http://c.test:2380',
  );
  assert.equal(
    await peers({ records: { [PLAIN]: THREE }, urls: 'http://10.0.0.1:2380' }),
    'm1=http://a.test:2380,0=http://b.test:2380,1=http://c.test:2380',
  );
  assert.equal(
    await peers({ records: { [SECURE]: THREE.slice(0, 1) }, urls: 'https://a.test:2380' }),
    'm1=https://a.test:2380',
  );
});

test('a suffix is part of the name of the service', async () => {
  const records = { '_etcd-server-blue._tcp.example.test': THREE.slice(0, 1) };
  assert.equal(await peers({ records, serviceName: 'blue' }), 'm1=http://a.test:2380');
  await assert.rejects(peers({ records }), DiscoveryError);
});

test('members with and without TLS are different members', async () => {
  const records = {
    [SECURE]: [THREE[0]!, THREE[1]!],
    [PLAIN]: [THREE[2]!],
  };
  assert.equal(
    await peers({ records, urls: 'https://a.test:2380' }),
    'm1=https://a.test:2380,0=https://b.test:2380,1=http://c.test:2380',
  );
});

test('a record whose host has no address names nobody, as in etcd', async () => {
  const records = { [PLAIN]: [...THREE.slice(0, 2), { host: 'gone.test', port: 2380 }] };
  assert.equal(await peers({ records }), 'm1=http://a.test:2380,0=http://b.test:2380');
});

test('S17 a record is one member, whatever its host is called; and a member may be called as a number', async () => {
  const records = { [PLAIN]: [THREE[0]!, { host: 'b.test:1,evil=http://c.test', port: 2380 }] };
  assert.equal(await peers({ records }), 'm1=http://a.test:2380');
  assert.equal(
    await peers({ records: { [PLAIN]: THREE }, name: '0' }),
    '0=http://a.test:2380,1=http://b.test:2380,2=http://c.test:2380',
  );
});

test('what is not found is refused, and says what was asked', async () => {
  const cases: readonly (readonly [Asked, RegExp])[] = [
    [
      {},
      /^error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl\._tcp\.example\.test: no such host; /,
    ],
    [{ records: { [PLAIN]: [] } }, /_etcd-server-ssl/],
    [{ records: { [PLAIN]: [], [SECURE]: [] } }, /^no member is in SRV records$/],
    [{ records: { [PLAIN]: THREE.slice(1) } }, /^cannot find local etcd member "m1" in SRV records$/],
    [{ records: { [PLAIN]: THREE }, urls: 'http://gone.test:2380' }, /lookup gone\.test: no such host/],
    [
      { records: { [SECURE]: [THREE[0]!] } },
      /bootstrap at https:\/\/a\.test:2380 from DNS has scheme mismatch/,
    ],
  ];
  for (const [asked, words] of cases) {
    await assert.rejects(
      peers(asked),
      (error) => error instanceof DiscoveryError && words.test(error.message),
    );
  }
});
