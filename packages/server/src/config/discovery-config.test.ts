import assert from 'node:assert/strict';
import { test } from 'node:test';
import { config, fromFile, refusal, warnings } from './testing/starts.ts';

const ETCD = ['--discovery-token=t', '--discovery-endpoints=a:1'];

test('a member without a list of members registers as itself alone, under the token', async () => {
  const urls = '--initial-advertise-peer-urls=http://b:2,http://a:1';
  const byEtcd = await config(['--name=m', urls, ...ETCD]);
  assert.equal(byEtcd.initialCluster, 'm=http://a:1,m=http://b:2');
  assert.equal(byEtcd.initialClusterToken, 't');
  const byUrl = await config(['--name=m', urls, '--discovery=https://d/t', '--discovery-proxy=p:1']);
  assert.deepEqual(byUrl.discovery, { kind: 'url', url: 'https://d/t', proxy: 'p:1' });
  assert.equal(byUrl.initialCluster, 'm=http://a:1,m=http://b:2');
  assert.equal(byUrl.initialClusterToken, 'https://d/t');
});

test('the records of a domain leave the list empty until they are read, and the token alone', async () => {
  const { discovery, initialCluster, initialClusterToken } = await config(['--discovery-srv=example.test']);
  assert.deepEqual(discovery, { kind: 'srv', domain: 'example.test', serviceName: '' });
  assert.equal(initialCluster, '');
  assert.equal(initialClusterToken, 'etcd-cluster');
  assert.equal((await config([])).discovery, null);
});

test('more ways than one, or half of one, are refused in the words of etcd', async () => {
  const several =
    'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery-endpoints" or "discovery-srv"';
  const both = 'both --discovery-token and --discovery-endpoints must be set';
  const cases: readonly (readonly [string[], string])[] = [
    [['--discovery-srv=a', ...ETCD], several],
    [['--discovery-srv=a', '--initial-cluster=default=http://localhost:2380'], several],
    [['--discovery=http://d/t', ...ETCD], several],
    [['--discovery-token=t'], both],
    [['--discovery-endpoints=a:1'], both],
    [
      [...ETCD.slice(0, 1), '--discovery-endpoints=a:1,'],
      '--discovery-endpoints must not contain empty endpoints',
    ],
    [
      ['--discovery-fallback=proxy'],
      'v2 proxy is deprecated, and --discovery-fallback can\'t be configured as "proxy"',
    ],
    [['--discovery=nowhere'], '--discovery "nowhere" is no URL of a discovery service'],
    [
      ['--discovery=http://d/t', '--discovery-proxy=p', '--discovery-cert=c'],
      'both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token, discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user, discovery-password) are set',
    ],
  ];
  for (const [args, message] of cases) assert.equal((await refusal(args)).message, message, args.join(' '));
});

test('a user may bring his password along, as the help of etcd says', async () => {
  const credentials = async (...args: string[]): Promise<unknown> => {
    const { discovery } = await config([...ETCD, ...args]);
    assert.ok(discovery?.kind === 'etcd');
    return [discovery.username, discovery.password];
  };
  assert.deepEqual(await credentials('--discovery-user=u:p:q'), ['u', 'p:q']);
  assert.deepEqual(await credentials('--discovery-user=u:p', '--discovery-password=x'), ['u:p', 'x']);
  assert.deepEqual(await credentials('--discovery-user=u'), ['u', '']);
});

test('a file says what no flag says', async () => {
  const { discovery, tls } = await config(
    [],
    fromFile(`
discovery-config:
  token: t
  client:
    endpoints: [a:1]
    max-request-bytes: 7
    max-recv-bytes: 8
    secure: {server-name: s}
    auth: {token: x}
client-transport-security: {allowed-cn: [a, b]}
`),
  );
  assert.ok(discovery?.kind === 'etcd');
  const { maxSendBytes, maxReceiveBytes, serverName, authToken } = discovery;
  assert.deepEqual([maxSendBytes, maxReceiveBytes, serverName, authToken], [7, 8, 's', 'x']);
  assert.deepEqual(tls.client.allowedCommonNames, ['a', 'b']);
  const idle = 'client-transport-security: {skip-client-san-verification: true}';
  assert.ok((await warnings([], fromFile(idle))).includes('flag has no effect'));
});

test('a variable that only etcd up to 3.6 reads gives way to what is there', async () => {
  const environment = { ETCD_DISCOVERY: 'http://d/t' };
  assert.equal((await config([], { environment })).discovery?.kind, 'url');
  const listed = await config(['--initial-cluster=default=http://localhost:2380'], { environment });
  assert.equal(listed.discovery, null);
  assert.equal((await config(ETCD, { environment })).discovery?.kind, 'etcd');
  const both = { ...environment, ETCD_DISCOVERY_SRV: 'example.test' };
  assert.equal((await config([], { environment: both })).discovery?.kind, 'srv');
});
