import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { askHashes, askMember, type MemberHash } from './ask-member.ts';
import { FakeHost, hashAnswer, response, SECOND, THIRD } from './testing/fake-members.ts';

const QUESTION = { method: 'GET', path: '/members/statehash?from=1&to=2' };

test('the next URL is asked only where there is no answer; a refusal is one', () => {
  const { network, clock, others, fake } = new FakeHost([SECOND, THIRD]);
  others[0]!.instead = () => response(500, 'no');
  const peerUrls = ['http://dead:1', others[0]!.url, others[1]!.url];
  const answers: unknown[] = [];
  askMember(network, { peerUrls }, QUESTION, 1000, (answer) => answers.push(answer?.status));
  clock.settle();
  assert.deepEqual(answers, [500]);
  assert.deepEqual(
    fake.asked.map(({ url }) => url),
    ['http://dead:1', others[0]!.url],
  );
});

test('where nobody answers the last reason is told; without URLs, that there are none', () => {
  const { network, clock } = new FakeHost([]);
  const reasons: string[] = [];
  const done = (answer: unknown, reason: string): void => {
    assert.equal(answer, null);
    reasons.push(reason);
  };
  askMember(network, { peerUrls: ['http://a:1', 'http://b:1'] }, QUESTION, 1000, done);
  askMember(network, { peerUrls: [] }, QUESTION, 1000, done);
  clock.settle();
  assert.deepEqual(reasons, ['no peer URLs', 'connection refused']);
});

function hashesOf(host: FakeHost): readonly MemberHash[] {
  const members = host.members().slice(1);
  const found: (readonly MemberHash[])[] = [];
  askHashes(host.network, members, 9, 1000, (hashes) => found.push(hashes));
  host.clock.advance(1000);
  assert.equal(found.length, 1, 'once, when all have answered or can not');
  return found[0]!;
}

test('the hash of a whole store is asked for as etcd does, and read though ids in it are beyond 2^53', () => {
  const host = new FakeHost([SECOND]);
  host.others[0]!.instead = () => hashAnswer(4_294_967_295, 5, 12);
  const [{ answer, member }] = hashesOf(host) as [MemberHash];
  assert.deepEqual(answer, { hash: 4_294_967_295, compactRevision: 5, currentRevision: 12 });
  assert.equal(member.id, SECOND);
  const [{ request }] = host.fake.asked as [(typeof host.fake.asked)[0]];
  assert.deepEqual([request.method, request.path], ['GET', '/members/hashkv']);
  assert.deepEqual(
    [request.contentType, Buffer.from(request.body!).toString()],
    ['application/json', '{"revision":9}'],
  );
});

test('what Go leaves out of an answer is zero', () => {
  const host = new FakeHost([SECOND]);
  host.others[0]!.instead = () => response(200, '{"header":{"member_id":5}}');
  const [{ answer }] = hashesOf(host) as [MemberHash];
  assert.deepEqual(answer, { hash: 0, compactRevision: 0, currentRevision: 0 });
});

test('S21 answers that are no hash are none, and the text of a refusal is kept as the problem', () => {
  const cases: readonly [number, string][] = [
    [200, ''],
    [200, 'null'],
    [200, '[1'],
    [200, '{"hash":"7"}'],
    [200, '{"hash":7,"compact_revision":"5"}'],
    [200, '{"hash":7,"header":{"revision":"12"}}'],
    [400, 'mvcc: required revision has been compacted\n'],
    [412, 'cluster ID mismatch\n'],
    [503, 'member is not ready\n'],
  ];
  for (const [status, body] of cases) {
    const host = new FakeHost([SECOND]);
    host.others[0]!.instead = () => response(status, body);
    const [{ answer, problem }] = hashesOf(host) as [MemberHash];
    assert.equal(answer, null, body);
    assert.equal(problem, body.trim());
  }
});

test('answers come in the order of the members, whoever is slow, and with nobody to ask at once', () => {
  const host = new FakeHost([SECOND, THIRD]);
  host.others[0]!.instead = () => 'nothing';
  const [second, third] = hashesOf(host) as [MemberHash, MemberHash];
  assert.deepEqual([second.member.id, second.problem], [SECOND, 'context deadline exceeded']);
  assert.deepEqual([third.member.id, third.answer?.hash], [THIRD, 100]);
  const alone: unknown[] = [];
  askHashes(host.network, [], 9, 1000, (hashes) => alone.push(...hashes, 'done'));
  assert.deepEqual(alone, ['done']);
});
