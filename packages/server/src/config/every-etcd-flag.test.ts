/** Every flag, key of a file, feature gate and old spelling that etcd has had from 3.4 to 3.7, as its programs name them, has an answer here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { FEATURES, IDLE_GATES } from './feature-gates.ts';
import { environmentName, mayStandAlone } from './flag-spec.ts';
import { flagSupport } from './flag-support.ts';
import { FILE_SETTINGS, FLAG_TABLE } from './flag-table.ts';
import { parseFlagValue } from './flag-value.ts';
import { LEGACY_FLAGS, legacyReplacement } from './legacy-flags.ts';
import { loadConfig } from './load-config.ts';
import { fromFile, world } from './testing/starts.ts';

interface EtcdFlags {
  readonly flags: readonly {
    readonly name: string;
    readonly type: string;
    readonly default?: string;
    readonly key?: string;
    readonly values?: readonly string[];
  }[];
  readonly fileKeys: readonly string[];
  readonly gates: readonly { readonly name: string; readonly default: boolean; readonly stage: string }[];
  readonly oldFlags: readonly { readonly name: string; readonly replacement: string | null }[];
}

const ETCD = JSON.parse(
  readFileSync(new URL('../../testdata/etcd-flags.json', import.meta.url), 'utf8'),
) as EtcdFlags;

/** What nobody can write into a file: the type of the key in etcd is a function. */
const UNWRITABLE_KEYS = new Set(['grpc-additional-server-options']);

/** Where etcd's program leaves the default to its library. */
const DEFAULT_OF_LIBRARY = new Set(['v2-deprecation']);

test('every flag of etcd is known by its name, its key and its default', () => {
  assert.ok(ETCD.flags.length > 100);
  for (const { name, key, type, ...flag } of ETCD.flags) {
    const spec = FLAG_TABLE.get(name);
    assert.ok(spec !== undefined, name);
    assert.equal(spec.configKey, key ?? null, `${name}: key in a file`);
    assert.equal(mayStandAlone(spec.kind), type === 'bool' || type === 'ignored', `${name}: may stand alone`);
    if (type !== 'ignored' && !DEFAULT_OF_LIBRARY.has(name)) {
      assert.equal(spec.defaultText, flag.default ?? '', `${name}: default`);
    }
    for (const value of flag.values ?? []) {
      if (value.includes('<')) continue;
      assert.equal(parseFlagValue(spec, value).error, undefined, `${name}=${value}`);
    }
    // A warning says why something has no effect.
    const support = flagSupport(spec);
    if (support.status === 'no-effect') assert.ok(support.reason.length > 5, name);
  }
});

test('every flag of etcd is taken as argument, variable and key of a file, with the default of etcd', async () => {
  const bare = await loadConfig([], world());
  assert.ok(bare.kind === 'run');
  for (const { name, default: text, key, type } of ETCD.flags) {
    if (type === 'ignored' || text === undefined || text === '' || name === 'version') continue;
    // A list that is said is one that is meant.
    const isList = name === 'initial-cluster';
    const starts = [
      loadConfig([`--${name}=${text}`], world()),
      loadConfig([], world({ environment: { [environmentName(name)]: text } })),
    ];
    if (key !== undefined && !key.includes('.')) {
      const value = type === 'bool' ? text : JSON.stringify(text);
      starts.push(loadConfig([], world(fromFile(`${key}: ${value}`))));
    }
    for (const start of starts) {
      const request = await start;
      const needsMore = name === 'listen-client-urls';
      if (needsMore && request.kind === 'refused') {
        assert.match(request.error.message, /^--advertise-client-urls is required/);
        continue;
      }
      assert.ok(request.kind === 'run', `${name}=${text}: ${JSON.stringify(request)}`);
      if (!isList) assert.deepEqual(request.config, bare.config, name);
    }
  }
});

test('every key of a file of etcd is read, is a section, or is what no file can hold', () => {
  const read = new Set(
    [...FLAG_TABLE.values(), ...FILE_SETTINGS.values()].flatMap(({ configKey }) => configKey ?? []),
  );
  for (const key of ETCD.fileKeys) {
    const isSection = [...read].some((other) => other.startsWith(`${key}.`));
    assert.ok(read.has(key) || isSection || UNWRITABLE_KEYS.has(key), key);
  }
});

test('every feature gate of etcd is here, with its stage and default, and acts or says why not', () => {
  assert.deepEqual(
    Object.entries(FEATURES)
      .map(([name, { defaultValue, stage }]) => ({ name, default: defaultValue, stage }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    ETCD.gates.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  );
  for (const reason of Object.values(IDLE_GATES)) assert.ok(reason.length > 5);
});

test('every spelling that etcd has dropped since 3.4 is taken, as what replaces it', () => {
  for (const { name, replacement } of ETCD.oldFlags) {
    const legacy = LEGACY_FLAGS.get(name);
    if (legacy === undefined) {
      assert.notEqual(FLAG_TABLE.get(name)?.lastRelease ?? null, null, name);
    } else if (replacement !== null) {
      assert.equal(legacyReplacement(legacy)?.replace('…', 'true'), replacement, name);
    }
  }
});
