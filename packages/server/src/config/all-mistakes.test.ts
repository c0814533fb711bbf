/** Whoever has made several mistakes hears of all of them at once: of each in one message, and where it stands. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig, type StartWorld } from './load-config.ts';
import { config, fromFile, world } from './testing/starts.ts';

async function mistakes(args: readonly string[], overrides: Partial<StartWorld> = {}): Promise<string[]> {
  const request = await loadConfig(args, world(overrides));
  assert.ok(request.kind === 'refused', JSON.stringify(request));
  return request.error.all.map(({ message }) => message);
}

test('each impossible setting of a command line has its own message, in the order of etcd', async () => {
  assert.deepEqual(
    await mistakes([
      '--max-request-bytes=0',
      '--listen-client-urls=http://example.com:1',
      '--log-level=loud',
      '--heartbeat-interval=0',
      '--auto-compaction-mode=never',
      '--discovery-token=t',
      '--cert-file=/c',
      '--listen-peer-urls=https://127.0.0.1:1',
    ]),
    [
      'unrecognized level: "loud"',
      'expected IP in URL for binding (http://example.com:1)',
      '--advertise-client-urls is required when --listen-client-urls is set explicitly',
      'both --discovery-token and --discovery-endpoints must be set',
      '--heartbeat-interval must be >0 (set to 0ms)',
      '--max-request-bytes must be >0 (set to 0)',
      'unknown auto-compaction-mode "never"',
      'cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented',
    ],
  );
});

test('variables that are no values, and those that are shadowed, are named all', async () => {
  const environment = { ETCD_MAX_WALS: 'x', ETCD_PRE_VOTE: 'perhaps', ETCD_NAME: 'b' };
  const found = await mistakes(['--name=a'], { environment });
  assert.equal(found.length, 3);
  for (const name of Object.keys(environment))
    assert.ok(
      found.some((message) => message.includes(name)),
      name,
    );
});

test('a file is told by path, line and key, all mistakes of all kinds', async () => {
  const text = `# A comment
name: [1, 2]
heartbeat-interval: -1
election-timeout: 60000
client-transport-security:
  client-cert-auth: perhaps
  cert-file: {}
listen-peer-urls: nowhere

snapshot-count: 1.5
`;
  assert.deepEqual(await mistakes([], fromFile(text)), [
    '/etc/etcd.yml:2: name must be a value of type string',
    '/etc/etcd.yml:7: client-transport-security.cert-file must be a value of type string',
    '/etc/etcd.yml:3: invalid value "-1" for heartbeat-interval: parse error',
    '/etc/etcd.yml:6: invalid value "perhaps" for client-cert-auth: parse error',
    '/etc/etcd.yml:8: unexpected error setting up listen-peer-urls: URL scheme must be http, https, unix, or unixs: nowhere',
    '/etc/etcd.yml:10: invalid value "1.5" for snapshot-count: parse error',
    '/etc/etcd.yml:4: --election-timeout[60000ms] is too long, and should be set less than 50000ms',
  ]);
});

test('a file that is no YAML is told with every line that is wrong', async () => {
  const found = await mistakes([], fromFile('name: "a\nmax-wals: [1\n'));
  assert.ok(found.length >= 1);
  for (const message of found)
    assert.match(message, /^error converting YAML to JSON: \/etc\/etcd\.yml: .+ at line \d+/);
});

test('the line of a key that stands twice is that of the one that counts', async () => {
  assert.deepEqual(await mistakes([], fromFile('max-wals: 1\nname: a\nmax-wals: x\n')), [
    '/etc/etcd.yml:3: invalid value "x" for max-wals: parse error',
  ]);
});

test('a configuration is checked without being used, however that is asked for', async () => {
  for (const [args, overrides] of [
    [['--check-config', '--name=a'], {}],
    [['--name=a'], { environment: { ETCD_CHECK_CONFIG: 'true' } }],
  ] as const) {
    const request = await loadConfig(args, world(overrides));
    assert.ok(request.kind === 'run');
    assert.equal(request.isCheck, true);
    assert.deepEqual(request.config, await config(['--name=a']));
  }
  const usual = await loadConfig(['--name=a'], world());
  assert.ok(usual.kind === 'run' && !usual.isCheck);
  assert.deepEqual(await mistakes(['--check-config', '--name=a', '--max-request-bytes=0']), [
    '--max-request-bytes must be >0 (set to 0)',
  ]);
});
