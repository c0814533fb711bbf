import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { readConfigFile } from './config-file.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';
import { nodeStartWorld } from './node-start-world.ts';
import { config, fromFile, refusal } from './testing/starts.ts';

const { parseDocument } = nodeStartWorld({});

async function texts(yaml: string): Promise<Record<string, string>> {
  const { texts: found, unknownKeys } = await readConfigFile('/f', yaml, parseDocument);
  assert.deepEqual(unknownKeys, []);
  return Object.fromEntries(found);
}

test('values of a file become the texts that a command line would carry', async () => {
  const cases: readonly [string, Record<string, string>][] = [
    ['name: m1', { name: 'm1' }],
    ['name: 1', { name: '1' }],
    ['pre-vote: false', { 'pre-vote': 'false' }],
    ['pre-vote: "true"', { 'pre-vote': 'true' }],
    ['snapshot-count: 18446744073709551615', { 'snapshot-count': '18446744073709551615' }],
    ['snapshot-count: 1e5', { 'snapshot-count': '100000' }],
    ['quota-backend-bytes: -1', { 'quota-backend-bytes': '-1' }],
    ['backend-batch-interval: 3000000000', { 'backend-batch-interval': '3000000000ns' }],
    ['backend-batch-interval: 3s', { 'backend-batch-interval': '3s' }],
    ['auto-compaction-retention: 5', { 'auto-compaction-retention': '5' }],
    ['listen-client-urls: "http://a:1,http://b:1"', { 'listen-client-urls': 'http://a:1,http://b:1' }],
    ['listen-client-urls: [http://a:1, http://b:1]', { 'listen-client-urls': 'http://a:1,http://b:1' }],
    ['cipher-suites: [A, B]', { 'cipher-suites': 'A,B' }],
    ['log-outputs: [stdout]', { 'log-outputs': 'stdout' }],
    ['name: a\nname: b', { name: 'b' }],
    ['{"name": "m1", "max-wals": 3}', { name: 'm1', 'max-wals': '3' }],
  ];
  for (const [yaml, expected] of cases) assert.deepEqual(await texts(yaml), expected, yaml);
});

test('what is left empty is left as it is', async () => {
  for (const yaml of ['', '---', '# nothing', 'null', 'name:', 'name: null', 'pre-vote: ""', '{}']) {
    assert.deepEqual(await texts(yaml), {}, yaml);
  }
});

test('flags that stand in sections are found there, as deep as sections go', async () => {
  assert.deepEqual(
    await texts(`
client-transport-security:
  cert-file: /c
  client-cert-auth: true
peer-transport-security:
  cert-file: /p
  allowed-cn: [a, b]
socket-options: {reuse-port: true}
discovery-config:
  token: t
  client: {secure: {cert: /d}}
`),
    {
      'cert-file': '/c',
      'client-cert-auth': 'true',
      'peer-cert-file': '/p',
      'peer-cert-allowed-cn': 'a,b',
      'socket-reuse-port': 'true',
      'discovery-token': 't',
      'discovery-cert': '/d',
    },
  );
});

test('keys that nothing reads are named with their sections, and no deeper than sections go', async () => {
  const yaml = `
nonsense: 1
cert-file: /c
socket-options: {reuse-porn: true}
client-transport-security: {peer: {x: 1}}
a: {b: {c: {d: {e: 1}}}}
raft-read-timeout: 1
config-file: /x
`;
  const { unknownKeys } = await readConfigFile('/f', yaml, parseDocument);
  assert.deepEqual(unknownKeys.toSorted(), [
    'a.b.c.d',
    'cert-file',
    'client-transport-security.peer.x',
    'config-file',
    'nonsense',
    'raft-read-timeout',
    'socket-options.reuse-porn',
  ]);
});

test('old spellings are keys too', async () => {
  for (const [name, flag] of LEGACY_FLAGS) {
    const { texts: found, unknownKeys } = await readConfigFile('/f', `${name}: "x"`, parseDocument);
    const takesText = !(flag.means === 'gate') || found.get(name) === 'x';
    assert.ok(takesText);
    assert.deepEqual(unknownKeys, [], name);
  }
});

test('S17 values of another type are refused with file, key and what is wanted', async () => {
  const cases: readonly [string, string][] = [
    ['pre-vote: 1', '/f:1: pre-vote must be true or false'],
    ['pre-vote: [true]', '/f:1: pre-vote must be true or false'],
    ['name: true', '/f:1: name must be a value of type string'],
    ['name: {a: b}', '/f:1: name must be a value of type string'],
    ['snapshot-count: [1]', '/f:1: snapshot-count must be a value of type uint64'],
    ['backend-batch-interval: true', '/f:1: backend-batch-interval must be a value of type duration'],
    ['listen-client-urls: {a: 1}', '/f:1: listen-client-urls must be a value of type urls'],
  ];
  for (const [yaml, message] of cases) {
    const { problems } = await readConfigFile('/f', yaml, parseDocument);
    assert.deepEqual(
      problems.map((problem) => problem.message),
      [message],
      yaml,
    );
  }
  for (const yaml of ['- name: m1', 'just a text', '7']) {
    await assert.rejects(
      readConfigFile('/f', yaml, parseDocument),
      (error) => error instanceof ConfigError && error.message === '/f: not a map of settings',
    );
  }
});

test('a file that is no YAML is refused with the first line of what is wrong', async () => {
  for (const yaml of ['a: [', 'a: "', '{', 'a: b: c', '\t- x']) {
    await assert.rejects(readConfigFile('/f', yaml, parseDocument), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /^error converting YAML to JSON: \/f: [^\n]+$/);
      return true;
    });
  }
});

test('S18 a document of nested aliases stays as small as its text, or is refused', async () => {
  const bomb = Array.from({ length: 9 }, (_, i) => {
    const items = Array.from({ length: 9 }, () => (i === 0 ? 'x' : `*a${i - 1}`)).join(', ');
    return `a${i}: &a${i} [${items}]`;
  }).join('\n');
  const { message } = await refusal([], fromFile(`${bomb}\nname: *a8\n`));
  assert.match(message, /converting YAML|name must be/);
});

test('durations of a file are nanoseconds, or written as on a command line', async () => {
  const read = async (text: string) => (await config([], fromFile(text))).watchProgressNotifyIntervalMs;
  assert.equal(await read('watch-progress-notify-interval: 5000000000'), 5000);
  assert.equal(await read('watch-progress-notify-interval: 5s'), 5000);
  assert.equal(await read('watch-progress-notify-interval: "5s"'), 5000);
});

test('a file is named by argument before variable, and what else both say does not count', async () => {
  const files: Readonly<Record<string, string>> = { '/a': 'name: of-a', '/b': 'name: of-b' };
  const readFile = (path: string): string => files[path]!;
  const environment = { ETCD_CONFIG_FILE: '/b', ETCD_MAX_WALS: '9' };
  const both = await config(['--config-file=/a', '--max-txn-ops=9'], { environment, readFile });
  assert.deepEqual([both.name, both.maxWals, both.maxTxnOps], ['of-a', 5, 128]);
  assert.equal((await config([], { environment, readFile })).name, 'of-b');
  const bad = await refusal(['--config-file=/a', '--max-txn-ops=x'], { environment, readFile });
  assert.equal(bad.exitCode, 2, 'a command line has to be one all the same');
});
