import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Profile } from 'pprof-format';
import { type DebugAnswer, DebugPages, type DebugQuestion } from './debug-pages.ts';

let level = 'info';
const pages = new DebugPages(
  {
    level: () => level,
    setLevel: (wanted) => {
      if (wanted !== 'debug') return false;
      level = wanted;
      return true;
    },
  },
  ['etcd', '--name=a'],
);
before(() => pages.start());
after(() => pages.stop());

function ask(target: string, changes: Partial<DebugQuestion> = {}): Promise<DebugAnswer> {
  const [path, query] = target.split('?');
  return pages.answer({
    method: 'GET',
    path: path!,
    query: new URLSearchParams(query),
    remoteAddress: '127.0.0.1:1234',
    hasOrigin: false,
    ...changes,
  });
}

async function askProfile(target: string): Promise<{ profile: Profile; types: string[] }> {
  const { status, headers, body } = await ask(target);
  assert.equal(status, 200, String(body));
  assert.deepEqual(headers[0], ['content-type', 'application/octet-stream']);
  const profile = Profile.decode(gunzipSync(body));
  const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
  return { profile, types: profile.sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`) };
}

/** Keeps the processor busy while a promise is pending. */
async function busyUntil<T>(pending: Promise<T>): Promise<T> {
  let isOver = false;
  const watched = pending.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    for (let i = 0; i < 1e5; i++) Math.sqrt(i);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return watched;
}

test('processor time by where it is spent', async () => {
  const { profile, types } = await busyUntil(askProfile('/debug/pprof/profile?seconds=0.3'));
  assert.deepEqual(types, ['samples/count', 'cpu/nanoseconds']);
  const names = new Set(profile.function.map(({ name }) => profile.stringTable.strings[Number(name)]));
  assert.ok(names.has('busyUntil'), [...names].join());
  assert.ok(!names.has('(idle)'));
  const { body } = await ask('/debug/pprof/profile?seconds=0.05&format=v8');
  assert.ok(JSON.parse(String(body)).nodes.length > 0);
});

test('one profile of the processor at a time', async () => {
  const [first, second] = await Promise.all([
    ask('/debug/pprof/profile?seconds=0.2'),
    ask('/debug/pprof/profile?seconds=0.2'),
  ]);
  assert.deepEqual([first.status, second.status], [200, 500]);
  assert.match(String(second.body), /cpu profiling already in use/);
});

test('the heap by who allocated it', async () => {
  const held = Array.from({ length: 200_000 }, (_, i) => ({ i }));
  const { profile, types } = await askProfile('/debug/pprof/heap');
  assert.deepEqual(types, ['inuse_space/bytes']);
  assert.ok(profile.sample.length > 0 && held.length > 0);
  const { body } = await ask('/debug/pprof/allocs?format=v8');
  assert.ok(JSON.parse(String(body)).head.children.length > 0);
});

test('what has no counterpart answers what there is instead', async () => {
  assert.deepEqual((await askProfile('/debug/pprof/goroutine')).types, ['goroutine/count']);
  assert.match(String((await ask('/debug/pprof/goroutine?debug=2')).body), /^goroutine profile: total \d+\n/);
  assert.ok((await askProfile('/debug/pprof/threadcreate')).profile.sample.length > 0);
  for (const name of ['block', 'mutex']) {
    assert.equal((await askProfile(`/debug/pprof/${name}`)).profile.sample.length, 0);
  }
  assert.match(String((await ask('/debug/pprof/cmdline')).body), /^etcd/);
  assert.match(String((await ask('/debug/pprof/')).body), /<a href="heap/);
  assert.equal((await ask('/debug/pprof/nothing')).status, 404);
  assert.equal((await ask('/debug/pprof/trace')).status, 404);
});

test('the level of the log is told to all, and set by those on this machine who are no browser', async () => {
  const put = { method: 'PUT' } as const;
  const target = '/debug/log-level?level=debug';
  assert.equal(String((await ask('/debug/log-level')).body), '{"level":"info"}');
  for (const address of ['10.0.0.1:1', '', '::2', '[::2]:127', '127.evil:1', '[fe80::1]:5']) {
    assert.equal((await ask(target, { ...put, remoteAddress: address })).status, 403, address);
  }
  assert.equal((await ask(target, { ...put, hasOrigin: true })).status, 403);
  assert.equal((await ask(target, { method: 'POST' })).status, 405);
  assert.equal((await ask('/debug/log-level?level=loud', put)).status, 400);
  assert.equal(level, 'info');
  for (const address of ['127.0.0.1:5', '127.0.0.1', '::1', '[::1]:5', '::ffff:127.0.0.1']) {
    level = 'info';
    assert.equal((await ask(target, { ...put, remoteAddress: address })).status, 200, address);
    assert.equal(level, 'debug');
  }
});
