import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentName } from './flag-spec.ts';
import { LEGACY_FLAGS, legacyReplacement } from './legacy-flags.ts';
import { loadConfig, type StartRequest } from './load-config.ts';
import { config, fromFile, refusal, world } from './testing/starts.ts';

/** A value of each flag that has an old spelling, other than its default. */
const SAMPLES: Readonly<Record<string, string>> = {
  'backend-bbolt-freelist-type': 'array',
  'bootstrap-defrag-threshold-megabytes': '7',
  'compact-hash-check-time': '3m',
  'compaction-batch-limit': '7',
  'compaction-sleep-interval': '7ms',
  'corrupt-check-time': '7m',
  'distributed-tracing-address': 'a:1',
  'distributed-tracing-instance-id': 'x',
  'distributed-tracing-sampling-rate': '7',
  'distributed-tracing-service-name': 'x',
  'downgrade-check-time': '7s',
  'enable-distributed-tracing': 'true',
  'memory-mlock': 'true',
  'peer-skip-client-san-verification': 'true',
  'snapshot-catchup-entries': '7',
  'warning-apply-duration': '7s',
  'warning-unary-request-duration': '7s',
  'watch-progress-notify-interval': '7s',
  'log-outputs': 'stdout',
};

function run(request: StartRequest): Extract<StartRequest, { kind: 'run' }> {
  assert.ok(request.kind === 'run', request.kind === 'refused' ? request.error.message : request.kind);
  return request;
}

/** Old spellings of flags, with the flag and a sample. */
const RENAMED = [...LEGACY_FLAGS].flatMap(([name, flag]) =>
  flag.means === 'flag' ? [{ name, target: flag.target, text: SAMPLES[flag.target]! }] : [],
);

test('every old spelling of a flag does what the flag does, as argument, variable and key of a file', async () => {
  for (const { name, target, text } of RENAMED) {
    assert.ok(text !== undefined, name);
    const wanted = await config([`--${target}=${text}`]);
    assert.deepEqual(await config([`--${name}=${text}`]), wanted, name);
    assert.deepEqual(await config([], { environment: { [environmentName(name)]: text } }), wanted, name);
    assert.deepEqual(await config([], fromFile(JSON.stringify({ [name]: text }))), wanted, name);
  }
});

test('every switch that has become a gate sets it, and is reported with what replaces it', async () => {
  for (const [name, flag] of LEGACY_FLAGS) {
    if (flag.means !== 'gate') continue;
    // One of them needs another.
    const others = name.endsWith('-persist') ? ['--experimental-enable-lease-checkpoint'] : [];
    for (const value of [true, false]) {
      const { config: found, notices } = run(await loadConfig([...others, `--${name}=${value}`], world()));
      assert.equal(found.featureGates[flag.target], value, name);
      const line = `--${name} is deprecated: use --feature-gates=${flag.target}=…`;
      assert.ok(notices.some(({ message }) => message === line));
    }
  }
});

test('several old switches together are one set of gates', async () => {
  const { featureGates } = await config([
    '--experimental-initial-corrupt-check',
    '--experimental-compact-hash-check-enabled=true',
    '--experimental-txn-mode-write-with-shared-buffer=false',
  ]);
  assert.equal(featureGates.InitialCorruptCheck, true);
  assert.equal(featureGates.CompactHashCheck, true);
  assert.equal(featureGates.TxnModeWriteWithSharedBuffer, false);
  assert.equal(featureGates.LeaseCheckpoint, false);
});

test('what was removed is accepted with its harmless values and refused with others', async () => {
  const usual = await config([]);
  for (const [name, flag] of LEGACY_FLAGS) {
    if (flag.means !== 'nothing') continue;
    const texts = flag.harmless ?? [flag.kind === 'uint' ? '7' : flag.kind === 'bool' ? 'true' : 'x'];
    for (const text of texts) assert.deepEqual(await config([`--${name}=${text}`]), usual, `${name}=${text}`);
    assert.equal(legacyReplacement(flag), null);
    if (flag.harmless === null) continue;
    const harmful = flag.kind === 'bool' ? 'true' : 'on';
    assert.equal(
      (await refusal([`--${name}=${harmful}`])).message,
      `--${name}=${harmful} is not supported: etcd 3.7 has removed this flag`,
    );
    const variable = environmentName(name);
    const { notices } = run(await loadConfig([], world({ environment: { [variable]: harmful } })));
    const reasons = notices.map(({ fields }) => fields?.['reason']);
    assert.ok(reasons.includes('etcd 3.7 has removed what it configured'), name);
  }
});

test('old and new spelling together are refused as arguments, and the variable gives way', async () => {
  for (const { name, target, text } of RENAMED) {
    assert.equal(
      (await refusal([`--${name}=${text}`, `--${target}=${text}`])).message,
      `cannot set both --${name} and its replacement --${target}`,
    );
    const environment = { [environmentName(name)]: text };
    const { config: found, notices } = run(await loadConfig([`--${target}=${text}`], world({ environment })));
    assert.deepEqual(found, await config([`--${target}=${text}`]), name);
    assert.ok(
      notices.some(({ fields }) => fields?.['reason'] === `--${target} is given`),
      name,
    );
  }
});

test('variables of older releases that can not stand together are left out together', async () => {
  const environment = {
    ETCD_EXPERIMENTAL_ENABLE_LEASE_CHECKPOINT_PERSIST: 'true',
    ETCD_EXPERIMENTAL_COMPACTION_BATCH_LIMIT: '7',
  };
  const { config: found, notices } = run(await loadConfig([], world({ environment })));
  assert.equal(found.featureGates.LeaseCheckpointPersist, false);
  assert.equal(found.compactionBatchLimit, 1000);
  const warning = notices.find(({ message }) => message === 'ignoring variables of older releases');
  assert.match(String(warning?.fields?.['error']), /requires enabling feature gate LeaseCheckpoint$/);
});

test('a bad value of an old variable is named and does not end the start', async () => {
  const environment = { ETCD_EXPERIMENTAL_COMPACTION_BATCH_LIMIT: 'many' };
  const { config: found, notices } = run(await loadConfig([], world({ environment })));
  assert.equal(found.compactionBatchLimit, 1000);
  assert.ok(notices.some(({ fields }) => fields?.['reason'] === 'parse error'));
  assert.equal((await refusal(['--experimental-compaction-batch-limit=many'])).exitCode, 2);
});
