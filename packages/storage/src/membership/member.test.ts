import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfChangeType } from '@etcd/api/raftpb';
import fc from 'fast-check';
import {
  addMemberChange,
  attributesJson,
  computeClusterId,
  computeMemberId,
  configChangeContextJson,
  formatId,
  type Member,
  memberJson,
  newMember,
  parseConfigChangeContext,
  parseId,
  parseMember,
  promoteMemberChange,
  raftAttributesJson,
  removeMemberChange,
  updateMemberChange,
} from './member.ts';
import { MembershipError } from './membership-error.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('identities are those of etcd', () => {
  const id = computeMemberId(['http://localhost:2380'], 'etcd-cluster');
  assert.equal(formatId(id), '8e9e05c52164694d');
  assert.equal(formatId(computeClusterId([id])), 'cdf818194e3a8c32');
  const urls = ['http://b:2380', 'http://a:2380'];
  assert.equal(computeMemberId(urls, 't'), computeMemberId([...urls].reverse(), 't'));
  assert.notEqual(computeMemberId(urls, 't'), computeMemberId(urls, 't', 1_700_000_000));
  assert.notEqual(computeMemberId(urls, 't', 1), computeMemberId(urls, 't', 2));
  assert.equal(computeClusterId([1n, 2n, 3n]), computeClusterId([3n, 1n, 2n]));
});

test('identities print as unpadded lower hex and are read back', () => {
  assert.equal(formatId(0xabcn), 'abc');
  assert.equal(parseId('abc'), 0xabcn);
  assert.equal(parseId('ffffffffffffffff'), 0xffff_ffff_ffff_ffffn);
  for (const bad of ['', 'xyz', '-1', '0x1', '10000000000000000', ' 1']) assert.equal(parseId(bad), null);
});

test('JSON is Go encoding/json to the byte', () => {
  const odd: Member = {
    id: 0xfedc_ba98_7654_3210n,
    name: 'n\u2028"\\\b\f\n\u0001\u007fé😀',
    peerUrls: ['http://a:1', 'https://[::1]:2?x=<&>'],
    clientUrls: [],
    isLearner: false,
  };
  assert.equal(
    memberJson(odd),
    String.raw`{"id":18364758544493064720,"peerURLs":["http://a:1","https://[::1]:2?x=\u003c\u0026\u003e"],"name":"n\u2028\"\\\b\f\n\u0001` +
      '\u007fé😀"}',
  );
  const learner: Member = {
    id: 1n,
    name: 'x',
    peerUrls: ['http://a:1'],
    clientUrls: ['http://c:1', 'http://c:2'],
    isLearner: true,
  };
  const expected =
    '{"id":1,"peerURLs":["http://a:1"],"isLearner":true,"name":"x","clientURLs":["http://c:1","http://c:2"]}';
  assert.equal(memberJson(learner), expected);
  const nobody = newMember(7n, { peerUrls: [], isLearner: false });
  assert.equal(
    configChangeContextJson({ member: nobody, isPromote: true }),
    '{"id":7,"peerURLs":null,"isPromote":true}',
  );
  assert.equal(attributesJson(learner), '{"name":"x","clientURLs":["http://c:1","http://c:2"]}');
  assert.equal(attributesJson(nobody), '{}');
  assert.equal(raftAttributesJson(learner), '{"peerURLs":["http://a:1"],"isLearner":true}');
});

const anyMember: fc.Arbitrary<Member> = fc.record(
  {
    id: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    name: fc.string({ unit: 'grapheme' }),
    peerUrls: fc.array(fc.string()),
    clientUrls: fc.array(fc.webUrl()),
    isLearner: fc.boolean(),
  },
  { noNullPrototype: true },
);

test('a member survives its JSON, identity to the last bit', () => {
  fc.assert(
    fc.property(anyMember, fc.boolean(), (member, isPromote) => {
      assert.deepEqual(parseMember(memberJson(member)), member);
      const context = parseConfigChangeContext(Buffer.from(configChangeContextJson({ member, isPromote })));
      assert.deepEqual(context, { member, isPromote });
    }),
  );
});

test('S17 what is no member is refused', () => {
  for (const bad of [
    '',
    'null',
    '[]',
    '{"id":"1"}',
    '{"id":-1}',
    '{"id":1.5}',
    '{"id":18446744073709551616}',
    '{"id":1,"peerURLs":"x"}',
    '{"id":1,"peerURLs":[1]}',
    '{"id":1,"name":1}',
    '{"id":1,"isLearner":"yes"}',
    '{"id":1',
  ]) {
    assert.throws(() => parseMember(bad), MembershipError, bad);
  }
  assert.deepEqual(parseMember('{}'), newMember(0n, { peerUrls: [], isLearner: false }));
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (json) => {
      try {
        parseMember(json);
      } catch (error) {
        assert.ok(error instanceof MembershipError);
      }
    }),
  );
});

test('changes carry what Go members expect in them', () => {
  const member = newMember(9n, { peerUrls: ['http://a:1'], isLearner: false });
  const change = addMemberChange(member);
  assert.equal(change.type, ConfChangeType.ConfChangeAddNode);
  assert.deepEqual([change.nodeId, text(change.context)], [9n, '{"id":9,"peerURLs":["http://a:1"]}']);
  assert.equal(addMemberChange({ ...member, isLearner: true }).type, ConfChangeType.ConfChangeAddLearnerNode);
  assert.equal(text(promoteMemberChange(9n).context), '{"id":9,"peerURLs":null,"isPromote":true}');
  assert.equal(text(updateMemberChange(9n, ['http://b:1']).context), '{"id":9,"peerURLs":["http://b:1"]}');
  assert.deepEqual([removeMemberChange(9n).nodeId, removeMemberChange(9n).context.length], [9n, 0]);
});
