import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { keepObjectsYoung } from './young-objects.ts';

test('a start is left alone, then a flag is set once that V8 knows', () => {
  const clock = new SimClock();
  const flags: string[] = [];
  keepObjectsYoung(clock, (text) => flags.push(text));
  assert.deepEqual(flags, []);
  clock.advance(60_000);
  assert.deepEqual(flags, ['--no-allocation-site-pretenuring']);
  const known = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  assert.match(known, /^ *--allocation-site-pretenuring /m);
});
