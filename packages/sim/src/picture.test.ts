/** A picture has every request, the wrong one in red, and is XML whatever is in the names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Operation, pictureOf } from './picture.ts';

const VIOLATION = { property: 'linearizability', details: 'k=<1> & "k"\nmore', atMs: 500 };

function operation(part: Partial<Operation>): Operation {
  return {
    who: 'c1',
    what: 'put',
    askedMs: 100,
    answeredMs: 200,
    outcome: 'ok at 3',
    isWrong: false,
    ...part,
  };
}

test('a line for each client, a bar for each request, in their colours', () => {
  const svg = pictureOf(
    [
      operation({}),
      operation({ who: 'c2', answeredMs: null, outcome: '' }),
      operation({ isWrong: true, askedMs: 300, answeredMs: 500 }),
      operation({ outcome: '14 no leader', what: 'txn(\x01t.1 < 2)' }),
    ],
    VIOLATION,
  );
  assert.equal(svg.match(/<g>/g)?.length, 4);
  for (const fill of ['#e33', '#bbb', '#9c9', '#eb8']) assert.ok(svg.includes(`fill="${fill}"`), fill);
  assert.match(svg, /linearizability: k=&lt;1&gt; &amp;/);
  assert.match(svg, /txn\(\.t\.1 &lt; 2\)/);
  assert.match(svg, /^<svg [\s\S]*<\/svg>\n$/);
  const bars = [...svg.matchAll(/<rect x="([\d.]+)" y="\d+" width="([\d.]+)"/g)];
  for (const [, x, width] of bars) assert.ok(Number(x) + Number(width) <= 1400.1, `${x} + ${width}`);
});

test('a violation before any request has a picture, too', () => {
  assert.match(pictureOf([], VIOLATION), /^<svg /);
});
