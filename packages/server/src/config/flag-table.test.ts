import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FlagSet } from './flag-set.ts';
import { environmentName } from './flag-spec.ts';
import { flagSupport, unknownSupportNames } from './flag-support.ts';
import { FILE_SETTINGS, FLAG_TABLE } from './flag-table.ts';
import { parseFlagValue } from './flag-value.ts';
import { flagsDocument } from './flags-document.ts';
import { helpText } from './help.ts';
import { LEGACY_FLAGS } from './legacy-flags.ts';
import { IMPLEMENTATION_VERSION, versionText } from './version.ts';

/** The flags of etcd 3.7.3, and ours. */
const ETCD_FLAG_COUNT = 128;
const OWN_FLAGS = [
  'auth-min-password-length',
  'auto-defrag-check-interval',
  'auto-defrag-rule',
  'backup-changes-interval',
  'backup-compression',
  'backup-keep-daily',
  'backup-keep-hourly',
  'backup-keep-last',
  'backup-keep-monthly',
  'backup-keep-weekly',
  'backup-keep-within',
  'backup-max-age',
  'backup-passphrase-file',
  'backup-recipients',
  'backup-recipients-file',
  'backup-schedule',
  'backup-store',
  'backup-unencrypted',
  'check-config',
  'max-cluster-version',
];
/** Those of earlier releases that still act under their name. */
const OLD_FLAGS = ['discovery', 'discovery-proxy'];

test('every flag of etcd is in the table once, and every default is a value of its flag', () => {
  assert.equal(FLAG_TABLE.size, ETCD_FLAG_COUNT + OWN_FLAGS.length + OLD_FLAGS.length);
  const old = [...FLAG_TABLE.values()].filter(({ lastRelease }) => lastRelease !== null);
  assert.deepEqual(
    old.map(({ name }) => name),
    OLD_FLAGS,
  );
  for (const spec of FLAG_TABLE.values()) {
    assert.equal(parseFlagValue(spec, spec.defaultText).error, undefined, spec.name);
    assert.equal(new FlagSet().isDefault(spec.name), true);
    if (spec.kind !== 'ignored') assert.match(spec.help, /\.$/, `${spec.name}: help is a sentence`);
  }
});

test('no two flags share an environment variable or a key of the file', () => {
  const variables = [...FLAG_TABLE.keys(), ...LEGACY_FLAGS.keys()].map(environmentName);
  assert.equal(new Set(variables).size, variables.length);
  const keys = [...FLAG_TABLE.values(), ...FILE_SETTINGS.values()].flatMap((spec) => spec.configKey ?? []);
  assert.equal(new Set(keys).size, keys.length);
});

test('the support table speaks of flags that there are', () => {
  assert.deepEqual(unknownSupportNames(new Map([...FLAG_TABLE, ...FILE_SETTINGS])), []);
  for (const spec of FLAG_TABLE.values()) {
    const support = flagSupport(spec);
    if (support.status === 'no-effect') assert.notEqual(support.reason, '');
  }
});

test('old spellings stand for flags that there are, and never hide one', () => {
  for (const [name, legacy] of LEGACY_FLAGS) {
    assert.equal(FLAG_TABLE.has(name), false, name);
    if (legacy.means === 'flag') assert.ok(FLAG_TABLE.has(legacy.target), name);
  }
});

test('help names every flag', () => {
  const help = helpText();
  for (const name of [...FLAG_TABLE.keys(), ...LEGACY_FLAGS.keys()]) {
    assert.ok(help.includes(`--${name}`), name);
  }
  for (const line of help.split('\n')) assert.ok(line.length <= 130, line);
});

test('docs/flags.md is what the tables say', () => {
  const written = readFileSync(new URL('../../../../docs/flags.md', import.meta.url), 'utf8');
  assert.equal(written, flagsDocument(), 'run: node packages/server/src/config/flags-document.ts');
});

test('the version has the four lines that programs parse, and ours', () => {
  const lines = versionText({ os: 'linux', architecture: 'x64', nodeVersion: 'v24.0.0' }).split('\n');
  assert.equal(lines.length, 6);
  assert.match(lines[0]!, /^etcd Version: \d+\.\d+\.\d+$/);
  assert.match(lines[1]!, /^Git SHA: \S/);
  assert.match(lines[2]!, /^Go Version: \S/);
  assert.equal(lines[3], 'Go OS/Arch: linux/amd64');
  assert.equal(lines[4], `Implementation: etcd-typescript ${IMPLEMENTATION_VERSION}`);
  const manifest: unknown = JSON.parse(
    readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8'),
  );
  assert.ok(typeof manifest === 'object' && manifest !== null && 'version' in manifest);
  assert.equal(manifest.version, IMPLEMENTATION_VERSION);
});
