import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SERVICES } from '@etcd/api/services';
import { openApiDocument } from './open-api.ts';
import { Fixture } from './testing/gateway-fixture.ts';

const document = JSON.parse(openApiDocument('3.7.0'));

/** Every reference in the document. */
function references(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, item]) =>
    name === '$ref' ? [String(item)] : references(item),
  );
}

test('every path of the gateway is described, and nothing else', () => {
  const paths = SERVICES.flatMap(({ methods }) => Object.values(methods)).flatMap(
    (method) => method.gatewayPaths,
  );
  assert.deepEqual(Object.keys(document.paths).sort(), paths.sort());
  const ids = Object.values<{ post: { operationId: string } }>(document.paths).map(
    ({ post }) => post.operationId,
  );
  assert.equal(new Set(ids).size, ids.length, 'operations have names of their own');
});

test('every type that is referred to is described', () => {
  const known = new Set(
    Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`),
  );
  const used = references(document);
  assert.ok(used.length > 200, `${used.length} references`);
  for (const reference of used) assert.ok(known.has(reference), reference);
});

test('fields have the form in which the gateway writes them', () => {
  const { schemas } = document.components;
  const put = schemas['etcdserverpb.PutRequest'].properties;
  assert.deepEqual(put.key, { type: 'string', contentEncoding: 'base64' });
  assert.deepEqual(put.lease, { type: ['string', 'integer'], format: 'int64' });
  assert.deepEqual(put.prev_kv, { type: 'boolean' });
  const range = schemas['etcdserverpb.RangeRequest'].properties;
  assert.deepEqual(range.sort_order, { $ref: '#/components/schemas/etcdserverpb.RangeRequest.SortOrder' });
  assert.ok(schemas['etcdserverpb.RangeRequest.SortOrder'].enum.includes('DESCEND'));
  assert.equal(schemas['etcdserverpb.RangeResponse'].properties.kvs.type, 'array');
});

test('the gateway answers with it', () => {
  const call = new Fixture().open('/openapi.json', { method: 'GET' });
  assert.deepEqual([call.status, call.answerHeaders['content-type']], [200, 'application/json']);
  assert.equal(JSON.parse(call.body).info.version, '3.7.0');
  assert.equal(new Fixture().open('/openapi.json').status, 501);
});
