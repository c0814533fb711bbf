import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ETCD_VERSION } from '../config/index.ts';
import { readU64, writeU64 } from './big-endian.ts';
import { identityHeaders, incompatibility, senderOf, supportsStreams } from './peer-headers.ts';

test('a member says who it is in the headers of etcd, ids in unpadded lower hex', () => {
  const self = { memberId: 0x00ab_cdefn, clusterId: 0xc1n, peerUrls: ['http://a:1', 'http://b:2'] };
  assert.deepEqual(identityHeaders(self), {
    'X-Server-From': 'abcdef',
    'X-Server-Version': ETCD_VERSION,
    'X-Min-Cluster-Version': '3.0.0',
    'X-Etcd-Cluster-ID': 'c1',
    'X-PeerURLs': 'http://a:1,http://b:2',
  });
});

test('whoever speaks our protocol, or will, is understood; others are told what does not fit', () => {
  const cases: readonly [string, string, string, string | null][] = [
    ['3.4.0', '3.0.0', 'c1', null],
    ['3.0.0', '2.3.0', 'c1', null],
    [ETCD_VERSION, '3.7.0', 'c1', null],
    ['4.0.0', '3.7.0', 'c1', null],
    ['2.3.8', '2.0.0', 'c1', 'incompatible version'],
    ['4.1.0', '4.0.0', 'c1', 'incompatible version'],
    ['3.8.0', '3.8.0', 'c1', 'incompatible version'],
    ['', '', 'c1', 'incompatible version'],
    ['three', '3.0.0', 'c1', 'incompatible version'],
    ['3.5.0', 'three', 'c1', 'incompatible version'],
    ['3.5.0', '', 'c1', null],
    ['3.5.0', '3.0.0', 'c2', 'cluster ID mismatch'],
    ['3.5.0', '3.0.0', '', 'cluster ID mismatch'],
    ['3.5.0', '3.0.0', '0c1', 'cluster ID mismatch'],
  ];
  for (const [version, minimum, cluster, problem] of cases) {
    const headers = {
      'x-server-version': version,
      'x-min-cluster-version': minimum,
      'x-etcd-cluster-id': cluster,
    };
    assert.equal(incompatibility(headers, 0xc1n), problem, JSON.stringify(headers));
  }
});

test('S18 a sender is known by its id and at most 16 URLs, or not at all', () => {
  const many = Array.from({ length: 40 }, (_, i) => `http://h${i}:1`).join();
  assert.deepEqual(senderOf({ 'x-server-from': 'b', 'x-peerurls': 'http://b:1,http://bb:1' }), {
    id: 0xbn,
    urls: ['http://b:1', 'http://bb:1'],
  });
  assert.equal(senderOf({ 'x-server-from': 'b', 'x-peerurls': many })!.urls.length, 16);
  for (const headers of [
    {},
    { 'x-server-from': 'b' },
    { 'x-server-from': 'b', 'x-peerurls': '' },
    { 'x-server-from': '', 'x-peerurls': 'http://b:1' },
    { 'x-server-from': 'xyz', 'x-peerurls': 'http://b:1' },
    { 'x-server-from': '10000000000000000', 'x-peerurls': 'http://b:1' },
  ]) {
    assert.equal(senderOf(headers), null, JSON.stringify(headers));
  }
});

test('streams are asked of members that have them', () => {
  for (const version of ['2.1.0', '2.3.8', '3.4.0', '4.0.0']) assert.ok(supportsStreams(version), version);
  for (const version of ['', '2.0.9', '1.9.0', 'x']) assert.ok(!supportsStreams(version), version);
});

test('lengths between members are eight bytes, the most significant first', () => {
  const bytes = new Uint8Array(10);
  for (const [value, hex] of [
    [0, '0000000000000000'],
    [1, '0000000000000001'],
    [0x0102_0304, '0000000001020304'],
    [0xffff_ffff, '00000000ffffffff'],
    [0x1_0000_0000, '0000000100000000'],
    [Number.MAX_SAFE_INTEGER, '001fffffffffffff'],
  ] as const) {
    assert.equal(writeU64(bytes, 1, value), 9);
    assert.equal(Buffer.from(bytes.subarray(1, 9)).toString('hex'), hex);
    assert.equal(readU64(bytes, 1), value);
  }
  assert.equal(bytes[0]! + bytes[9]!, 0);
  assert.ok(readU64(new Uint8Array(8).fill(0xff), 0) > Number.MAX_SAFE_INTEGER, 'beyond every limit');
});
