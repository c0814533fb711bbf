import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { type RemoteAddress, Remotes } from './remotes.ts';
import { splitHostPort, withoutScheme } from './split-address.ts';

function address(host: string, more: Partial<RemoteAddress> = {}): RemoteAddress {
  return { host, port: 2379, priority: 0, weight: 0, isVerified: false, ...more };
}

function counts(remotes: Remotes, picks: number): Map<string, number> {
  const seen = new Map<string, number>();
  for (let i = 0; i < picks; i++) {
    const host = remotes.pick()?.address.host ?? 'none';
    seen.set(host, (seen.get(host) ?? 0) + 1);
  }
  return seen;
}

test('those without weight take turns', () => {
  const remotes = new Remotes(
    ['a', 'b', 'c'].map((host) => address(host)),
    new SeededRandom(1),
  );
  assert.deepEqual([...counts(remotes, 9).values()], [3, 3, 3]);
});

test('one that is not active is passed over, and without any there is none', () => {
  const remotes = new Remotes([address('a'), address('b')], new SeededRandom(1));
  remotes.all[0]!.isActive = false;
  assert.deepEqual([...counts(remotes, 4)], [['b', 4]]);
  remotes.all[1]!.isActive = false;
  assert.equal(remotes.pick(), null);
});

test('only the best priority that is alive counts', () => {
  const remotes = new Remotes(
    [address('best', { priority: 1 }), address('next', { priority: 2 }), address('last', { priority: 3 })],
    new SeededRandom(1),
  );
  assert.deepEqual([...counts(remotes, 3).keys()], ['best']);
  remotes.all[0]!.isActive = false;
  assert.deepEqual([...counts(remotes, 3).keys()], ['next']);
});

test('chance goes by weight, and leaves little to those without', () => {
  const remotes = new Remotes(
    [address('heavy', { weight: 30 }), address('light', { weight: 10 }), address('none')],
    new SeededRandom(7),
  );
  const seen = counts(remotes, 40_000);
  const share = (host: string): number => (seen.get(host) ?? 0) / 40_000;
  assert.ok(Math.abs(share('heavy') - 0.7425) < 0.02, `heavy: ${share('heavy')}`);
  assert.ok(Math.abs(share('light') - 0.2475) < 0.02, `light: ${share('light')}`);
  assert.ok(share('none') > 0 && share('none') < 0.02, `none: ${share('none')}`);
});

test('addresses are split as Go splits them', () => {
  assert.deepEqual(splitHostPort('127.0.0.1:2379'), { host: '127.0.0.1', port: '2379' });
  assert.deepEqual(splitHostPort('[::1]:2379'), { host: '::1', port: '2379' });
  assert.deepEqual(splitHostPort(':2379'), { host: '', port: '2379' });
  for (const text of ['', 'host', '::1:2379', 'a:b:c', '[::1]']) assert.equal(splitHostPort(text), null);
  assert.equal(withoutScheme('https://a.example:2379/x'), 'a.example:2379');
  assert.equal(withoutScheme('a:1'), 'a:1');
});
