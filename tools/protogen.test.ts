import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkRequestNumbers, loadModel, propertyName } from './protogen/model.ts';
import { generate } from './protogen.ts';

const root = new URL('..', import.meta.url).pathname;

test('the committed code is what the generator writes', () => {
  const files = generate();
  const committed = globSync('packages/api/src/gen/*', { cwd: root }).sort();
  assert.deepEqual([...files.keys()].sort(), committed);
  for (const [path, text] of files) assert.equal(readFileSync(root + path, 'utf8'), text, path);
});

test('a number is refused for a 64-bit field that a client chooses', () => {
  const protoRoot = `${root}packages/api/proto`;
  const model = loadModel(protoRoot, globSync('**/*.proto', { cwd: protoRoot }).sort());
  for (const [message, field] of [
    ['etcdserverpb.WatchCreateRequest', 'watch_id'],
    ['etcdserverpb.LeaseGrantRequest', 'ID'],
    ['etcdserverpb.Compare', 'lease'],
  ] as const) {
    const changed = model.messages.get(message)!;
    const fields = changed.fields.map((each) =>
      each.name === field ? { ...each, kind: 'int64' as const } : each,
    );
    const messages = new Map(model.messages).set(message, { ...changed, fields });
    assert.throws(() => checkRequestNumbers({ ...model, messages }), new RegExp(`${message}.${field}`));
  }
});

test('property names are camel case, acronyms are words', () => {
  const names = {
    ID: 'id',
    memberID: 'memberId',
    member_ID: 'memberId',
    cluster_id: 'clusterId',
    TTL: 'ttl',
    remaining_TTL: 'remainingTtl',
    RemainingTTL: 'remainingTtl',
    grantedTTL: 'grantedTtl',
    peerURLs: 'peerUrls',
    isLearner: 'isLearner',
    PrevExist: 'prevExist',
    dbSizeInUse: 'dbSizeInUse',
    v2: 'v2',
  };
  for (const [name, expected] of Object.entries(names)) assert.equal(propertyName(name), expected);
});
