import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { judge } from './verdict.ts';

test('more than half of all voters decide, not of those that answer', () => {
  const cases: readonly [
    string,
    readonly bigint[],
    readonly [bigint, string][],
    string | null,
    readonly bigint[],
  ][] = [
    [
      'two of three',
      [1n, 2n, 3n],
      [
        [1n, 'x'],
        [2n, 'y'],
        [3n, 'y'],
      ],
      'y',
      [1n],
    ],
    [
      'the third is silent',
      [1n, 2n, 3n],
      [
        [1n, 'x'],
        [2n, 'y'],
      ],
      null,
      [1n, 2n],
    ],
    [
      'the third is silent, two agree',
      [1n, 2n, 3n],
      [
        [1n, 'x'],
        [2n, 'x'],
      ],
      'x',
      [],
    ],
    [
      'one of two',
      [1n, 2n],
      [
        [1n, 'x'],
        [2n, 'y'],
      ],
      null,
      [1n, 2n],
    ],
    [
      'two of four',
      [1n, 2n, 3n, 4n],
      [
        [1n, 'x'],
        [2n, 'x'],
        [3n, 'y'],
        [4n, 'y'],
      ],
      null,
      [1n, 2n, 3n, 4n],
    ],
    [
      'three of five, the others differ',
      [1n, 2n, 3n, 4n, 5n],
      [
        [1n, 'x'],
        [2n, 'x'],
        [3n, 'x'],
        [4n, 'y'],
        [5n, 'z'],
      ],
      'x',
      [4n, 5n],
    ],
    [
      'a learner does not vote',
      [1n, 2n],
      [
        [1n, 'x'],
        [2n, 'y'],
        [9n, 'y'],
      ],
      null,
      [1n, 2n, 9n],
    ],
    [
      'a learner is judged',
      [1n, 2n],
      [
        [1n, 'x'],
        [2n, 'x'],
        [9n, 'y'],
      ],
      'x',
      [9n],
    ],
    [
      'all differ',
      [1n, 2n, 3n],
      [
        [1n, 'x'],
        [2n, 'y'],
        [3n, 'z'],
      ],
      null,
      [1n, 2n, 3n],
    ],
  ];
  for (const [what, voters, hashes, majority, differing] of cases) {
    const verdict = judge(voters, new Map(hashes));
    assert.deepEqual([verdict.majority, verdict.differing], [majority, differing], what);
  }
});
