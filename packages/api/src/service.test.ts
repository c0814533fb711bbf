import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ENUMS, MESSAGES } from './gen/descriptors.ts';
import { PutRequest, PutResponseCodec } from './gen/etcdserverpb.ts';
import { HealthService, KvService, MaintenanceService, SERVICES, WatchService } from './gen/services.ts';

test('a method knows its path, its kind and its codecs', () => {
  const { put } = KvService.methods;
  assert.equal(put.path, '/etcdserverpb.KV/Put');
  assert.equal(put.kind, 'unary');
  const request: PutRequest = put.request.create();
  assert.ok(request instanceof PutRequest);
  assert.equal(put.response, PutResponseCodec);
  assert.deepEqual(put.gatewayPaths, ['/v3/kv/put']);
  assert.equal(KvService.methods.rangeStream.kind, 'server-stream');
  assert.deepEqual(KvService.methods.rangeStream.gatewayPaths, []);
  assert.equal(WatchService.methods.watch.kind, 'bidi-stream');
  assert.equal(MaintenanceService.methods.hashKv.path, '/etcdserverpb.Maintenance/HashKV');
  assert.equal(HealthService.methods.check.path, '/grpc.health.v1.Health/Check');
});

test('every service of a member is in the list, every path once', () => {
  const names = SERVICES.map((service) => service.name).sort();
  const etcd = ['Auth', 'Cluster', 'KV', 'Lease', 'Maintenance', 'Watch'].map(
    (name) => `etcdserverpb.${name}`,
  );
  assert.deepEqual(names, [...etcd, 'grpc.health.v1.Health', 'v3electionpb.Election', 'v3lockpb.Lock']);
  const paths = SERVICES.flatMap((service) => Object.values(service.methods).map((method) => method.path));
  assert.equal(paths.length, 52);
  assert.equal(new Set(paths).size, paths.length);
});

test('descriptors tell since which version an item is understood', () => {
  const range = MESSAGES.get('etcdserverpb.RangeRequest')!;
  assert.equal(range.since, '3.0');
  const field = range.fields.find((each) => each.name === 'min_mod_revision')!;
  assert.equal(field.since, '3.1');
  assert.equal(field.property, 'minModRevision');
  const alarm = ENUMS.get('etcdserverpb.AlarmType')!;
  assert.equal(alarm.values.find((value) => value.name === 'CORRUPT')!.since, '3.3');
  assert.equal(alarm.values.find((value) => value.name === 'NOSPACE')!.since, null);
});

test('descriptors describe what the classes have', () => {
  for (const { name, codec, fields } of MESSAGES.values()) {
    const message = codec.create();
    assert.equal(codec.name, name);
    for (const field of fields) {
      assert.ok(field.property in message, `${name}.${field.property}`);
      if (field.kind === 'message') assert.ok(MESSAGES.has(field.type));
      if (field.kind === 'enum') assert.ok(ENUMS.has(field.type));
    }
  }
});
