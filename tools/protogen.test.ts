import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { propertyName } from './protogen/model.ts';
import { generate } from './protogen.ts';

const root = new URL('..', import.meta.url).pathname;

test('the committed code is what the generator writes', () => {
  const files = generate();
  const committed = globSync('packages/api/src/gen/*', { cwd: root }).sort();
  assert.deepEqual([...files.keys()].sort(), committed);
  for (const [path, text] of files) assert.equal(readFileSync(root + path, 'utf8'), text, path);
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
