import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUrlList } from '@etcd/base';
import {
  bootstrapProblem,
  formatInitialCluster,
  type InitialCluster,
  joinProblem,
  parseInitialCluster,
} from './initial-cluster-text.ts';

const noResolver = (): Promise<string> => Promise.reject(new Error('no such host'));

function cluster(text: string): InitialCluster {
  const parsed = parseInitialCluster(text);
  assert.ok(parsed.cluster !== undefined, parsed.error);
  return parsed.cluster;
}

function self(name: string, urls: string) {
  return { name, advertisePeerUrls: parseUrlList(urls).urls! };
}

test('a member may have several URLs, each pair on its own', () => {
  const parsed = cluster('b=http://10.0.0.2:2380,a=http://10.0.0.1:2381,,a=http://10.0.0.1:2380');
  assert.deepEqual(
    parsed.get('a')?.map((url) => url.text),
    ['http://10.0.0.1:2380', 'http://10.0.0.1:2381'],
  );
  assert.equal(
    formatInitialCluster(parsed),
    'a=http://10.0.0.1:2380,a=http://10.0.0.1:2381,b=http://10.0.0.2:2380',
  );
});

test('a pair without a URL is refused in the words of etcd', () => {
  const scheme = 'error setting up initial cluster: URL scheme must be http, https, unix, or unixs: ';
  assert.equal(parseInitialCluster('garbage').error, scheme);
  assert.equal(
    parseInitialCluster('m1=http://127.0.0.1:2/').error,
    'error setting up initial cluster: URL must not contain a path: http://127.0.0.1:2/',
  );
});

test('a founder must find itself in the list', async () => {
  const problem = await bootstrapProblem(cluster('m1=http://a:1'), self('m2', 'http://a:1'), noResolver);
  assert.equal(problem, 'couldn\'t find local name "m2" in the initial cluster configuration');
  assert.equal(
    joinProblem(cluster(''), 'm2'),
    'couldn\'t find local name "m2" in the initial cluster configuration',
  );
});

test('a founder must advertise what the list says', async () => {
  const resolve = (host: string): Promise<string> => Promise.resolve(host);
  assert.equal(
    await bootstrapProblem(cluster('m1=http://127.0.0.1:3'), self('m1', 'http://127.0.0.1:2'), resolve),
    '--initial-cluster has m1=http://127.0.0.1:3 but missing from ' +
      '--initial-advertise-peer-urls=http://127.0.0.1:2 ' +
      '(resolved urls: "http://127.0.0.1:2" != "http://127.0.0.1:3")',
  );
  assert.equal(
    await bootstrapProblem(
      cluster('m1=http://127.0.0.1:2,m1=http://127.0.0.1:3'),
      self('m1', 'http://127.0.0.1:2'),
      resolve,
    ),
    '--initial-cluster has m1=http://127.0.0.1:3 but missing from ' +
      '--initial-advertise-peer-urls=http://127.0.0.1:2 ' +
      '(len(["http://127.0.0.1:2"]) != len(["http://127.0.0.1:2" "http://127.0.0.1:3"]))',
  );
  assert.equal(
    await bootstrapProblem(
      cluster('m1=http://127.0.0.1:2'),
      self('m1', 'http://127.0.0.1:2,http://127.0.0.1:3'),
      resolve,
    ),
    '--initial-advertise-peer-urls has http://127.0.0.1:3 but missing from ' +
      '--initial-cluster=m1=http://127.0.0.1:2,m1=http://127.0.0.1:3',
  );
});

test('a name and the address it stands for are the same place', async () => {
  const resolve = (host: string): Promise<string> =>
    Promise.resolve(host === 'node1.example' ? '10.0.0.1' : host);
  const found = await bootstrapProblem(
    cluster('m1=http://node1.example:2380'),
    self('m1', 'http://10.0.0.1:2380'),
    resolve,
  );
  assert.equal(found, null);
});

test('a name that nobody knows is reported', async () => {
  const problem = await bootstrapProblem(
    cluster('m1=http://nowhere.example:2380'),
    self('m1', 'http://10.0.0.1:2380'),
    (host) => (host === '10.0.0.1' ? Promise.resolve(host) : noResolver()),
  );
  assert.match(problem ?? '', /failed to resolve "http:\/\/nowhere.example:2380" \(no such host\)/);
});

test('no two members share a URL', async () => {
  const text = 'm1=http://127.0.0.1:2,m2=http://127.0.0.1:2';
  const expected = `initial cluster ${text} has duplicate url`;
  assert.equal(await bootstrapProblem(cluster(text), self('m1', 'http://127.0.0.1:2'), noResolver), expected);
  assert.equal(joinProblem(cluster(text), 'm1'), expected);
});
