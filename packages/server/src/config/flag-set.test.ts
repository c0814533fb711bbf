import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from './config-error.ts';
import { FEATURES } from './feature-gates.ts';
import { FlagSet } from './flag-set.ts';

function parsed(...args: string[]): FlagSet {
  const flags = new FlagSet();
  assert.deepEqual(flags.parseArguments(args), []);
  return flags;
}

function refusalOf(...args: string[]): string {
  let refusal: unknown;
  try {
    parsed(...args);
  } catch (error) {
    refusal = error;
  }
  assert.ok(refusal instanceof ConfigError, `accepted: ${args.join(' ')}`);
  assert.equal(refusal.exitCode, refusal.code === 'usage' ? 2 : 1);
  return refusal.message;
}

test('one dash or two, after an equals sign or in the next argument: all the same', () => {
  for (const args of [['--name', 'm1'], ['-name', 'm1'], ['--name=m1'], ['-name=m1']]) {
    assert.equal(parsed(...args).string('name'), 'm1');
  }
});

test('a value may be empty, contain equals signs or begin with a dash', () => {
  assert.equal(parsed('--name=').string('name'), '');
  assert.equal(parsed('--initial-cluster=a=http://x:1').string('initial-cluster'), 'a=http://x:1');
  assert.equal(parsed('--quota-backend-bytes', '-1').number('quota-backend-bytes'), -1);
});

test('a boolean stands alone and never takes the next argument', () => {
  assert.equal(parsed('--unsafe-no-fsync').bool('unsafe-no-fsync'), true);
  assert.equal(parsed('--pre-vote=false').bool('pre-vote'), false);
  assert.equal(parsed('--pre-vote=F').bool('pre-vote'), false);
  assert.deepEqual(new FlagSet().parseArguments(['--pre-vote', 'false']), ['false']);
});

test('the last of several values counts', () => {
  assert.equal(parsed('--name=a', '--name=b').string('name'), 'b');
});

test('the first argument that is no flag ends the flags', () => {
  for (const [args, rest] of [
    [['extra'], ['extra']],
    [
      ['--name=a', 'extra', '--name=b'],
      ['extra', '--name=b'],
    ],
    [['-'], ['-']],
    [['--', 'foo'], ['foo']],
    [['--name', '--', 'foo'], ['foo']],
  ] as const) {
    assert.deepEqual(new FlagSet().parseArguments(args), rest);
  }
});

test('help is asked for by name or letter, unless something before it is wrong', () => {
  assert.equal(new FlagSet().parseArguments(['--name=a', '-h', '--nonsense']), 'help');
  assert.equal(new FlagSet().parseArguments(['--help']), 'help');
  assert.equal(refusalOf('--nonsense', '-h'), 'flag provided but not defined: -nonsense');
});

test('a malformed command line is refused in the words of Go', () => {
  assert.equal(refusalOf('--nonsense'), 'flag provided but not defined: -nonsense');
  assert.equal(refusalOf('--nonsense=1'), 'flag provided but not defined: -nonsense');
  assert.equal(refusalOf('--name'), 'flag needs an argument: -name');
  assert.equal(refusalOf('---x'), 'bad flag syntax: ---x');
  assert.equal(refusalOf('--=x'), 'bad flag syntax: --=x');
});

test('S19 values that do not fit their flag are refused in the words of Go', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['--heartbeat-interval=abc', 'invalid value "abc" for flag -heartbeat-interval: parse error'],
    ['--heartbeat-interval=-1', 'invalid value "-1" for flag -heartbeat-interval: parse error'],
    [
      '--snapshot-count=99999999999999999999',
      'invalid value "99999999999999999999" for flag -snapshot-count: value out of range',
    ],
    [
      '--max-concurrent-streams=4294967296',
      'invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range',
    ],
    [
      '--max-concurrent-streams=x',
      'invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax',
    ],
    ['--pre-vote=maybe', 'invalid boolean value "maybe" for -pre-vote: parse error'],
    ['--grpc-keepalive-min-time=5', 'invalid value "5" for flag -grpc-keepalive-min-time: parse error'],
    [
      '--listen-client-urls=ftp://1.2.3.4:5',
      'invalid value "ftp://1.2.3.4:5" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: ftp://1.2.3.4:5',
    ],
    ['--initial-cluster-state=foo', 'invalid value "foo" for flag -initial-cluster-state: invalid value'],
    ['--max-cluster-version=3.8', 'invalid value "3.8" for flag -max-cluster-version: invalid value'],
    ['--quota-backend-bytes=1.5', 'invalid value "1.5" for flag -quota-backend-bytes: parse error'],
    [
      '--backend-batch-limit=9223372036854775808',
      'invalid value "9223372036854775808" for flag -backend-batch-limit: value out of range',
    ],
    [
      '--feature-gates=Foo=true',
      'invalid value "Foo=true" for flag -feature-gates: unrecognized feature gate: Foo',
    ],
    [
      '--feature-gates=LeaseCheckpoint',
      'invalid value "LeaseCheckpoint" for flag -feature-gates: missing bool value for LeaseCheckpoint',
    ],
    ['--cors=foo', 'invalid value "foo" for flag -cors: URL scheme must be http, https, unix, or unixs: foo'],
    ['--v2-deprecation=foo', 'invalid value "foo" for flag -v2-deprecation: invalid value "foo"'],
  ];
  for (const [argument, message] of cases) assert.equal(refusalOf(argument), message);
});

test('a refused secret is not repeated', () => {
  const flags = new FlagSet();
  flags.set('discovery-password', 'hunter2', 'argument');
  assert.equal(flags.string('discovery-password'), 'hunter2');
  assert.equal(flags.isDefault('discovery-password'), false);
});

test('an empty list of URLs leaves the default but counts as given', () => {
  const flags = parsed('--listen-client-urls=');
  assert.equal(flags.urls('listen-client-urls')[0]?.text, 'http://localhost:2379');
  assert.equal(flags.isGiven('listen-client-urls'), true);
});

test('setting a flag to its default is as good as not setting it', () => {
  const flags = parsed('--auto-tls=false', '--tls-min-version=TLS1.2', '--name=m1');
  assert.equal(flags.isDefault('auto-tls'), true);
  assert.equal(flags.isDefault('tls-min-version'), true);
  assert.equal(flags.isDefault('name'), false);
});

test('flags of earlier ages take any value or none', () => {
  const flags = parsed('--force', '--snapshot', '-v', '-vv=maybe', '--name=m1');
  assert.equal(flags.string('name'), 'm1');
});

test('an old spelling sets its flag or gate and is reported', () => {
  const flags = parsed(
    '--experimental-watch-progress-notify-interval=5s',
    '--experimental-initial-corrupt-check=true',
    '--experimental-stop-grpc-service-on-defrag',
    '--enable-v2=false',
    '--log-output=stdout',
  );
  const uses = flags.resolveLegacy();
  assert.deepEqual(
    uses.map((use) => use.name),
    [
      'experimental-watch-progress-notify-interval',
      'experimental-initial-corrupt-check',
      'experimental-stop-grpc-service-on-defrag',
      'enable-v2',
      'log-output',
    ],
  );
  assert.equal(flags.number('watch-progress-notify-interval'), 5000);
  const gates = flags.gates('feature-gates');
  assert.equal(gates.InitialCorruptCheck, true);
  assert.equal(gates.StopGRPCServiceOnDefrag, true);
  assert.equal(gates.TxnModeWriteWithSharedBuffer, FEATURES.TxnModeWriteWithSharedBuffer.defaultValue);
  assert.deepEqual(flags.strings('log-outputs'), ['stdout']);
});

test('an old spelling is checked like the flag that it stands for', () => {
  assert.equal(
    refusalOf('--experimental-compaction-batch-limit=x'),
    'invalid value "x" for flag -experimental-compaction-batch-limit: parse error',
  );
});

test('old and new spelling together are refused', () => {
  const both = parsed('--experimental-compaction-batch-limit=5', '--compaction-batch-limit=6');
  assert.throws(() => both.resolveLegacy(), {
    message:
      'cannot set both --experimental-compaction-batch-limit and its replacement --compaction-batch-limit',
  });
  const gates = parsed('--experimental-initial-corrupt-check', '--feature-gates=InitialCorruptCheck=false');
  assert.throws(() => gates.resolveLegacy(), /cannot set both --feature-gates/);
});

test('a removed flag that asked for something is refused', () => {
  assert.throws(() => parsed('--enable-v2').resolveLegacy(), {
    message: '--enable-v2=true is not supported: etcd 3.7 has removed this flag',
  });
  assert.doesNotThrow(() => parsed('--proxy=off', '--proxy-dial-timeout=7').resolveLegacy());
});

test('AllAlpha and AllBeta set what is not set by name', () => {
  const gates = parsed('--feature-gates=AllAlpha=true,LeaseCheckpoint=false,AllBeta=false').gates(
    'feature-gates',
  );
  assert.equal(gates.InitialCorruptCheck, true);
  assert.equal(gates.LeaseCheckpoint, false);
  assert.equal(gates.FastLeaseKeepAlive, false);
});
