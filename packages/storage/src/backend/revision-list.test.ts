import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { RevisionList } from './revision-list.ts';

type Row = readonly [main: number, sub: number, isTombstone: boolean];

function rowsOf(list: RevisionList): Row[] {
  return Array.from({ length: list.count }, (_, i) => [list.main(i), list.sub(i), list.isTombstone(i)]);
}

function fill(list: RevisionList, rows: readonly Row[]): void {
  for (const [main, sub, isTombstone] of rows) list.push(main, sub, isTombstone);
}

/** A stable sort: what shares a main revision keeps its order. */
function sorted(rows: readonly Row[]): Row[] {
  return [...rows].sort(([a], [b]) => a - b);
}

test('a list keeps what was pushed, however long it becomes, and begins anew when it is cleared', () => {
  const random = new SeededRandom(3);
  const list = new RevisionList();
  for (const count of [0, 1, 15, 16, 17, 33, 500, 3]) {
    const rows = Array.from(
      { length: count },
      (): Row => [random.below(2 ** 31) * 2 ** 20, random.below(2 ** 31), random.chance(0.5)],
    );
    fill(list, rows);
    assert.deepEqual(rowsOf(list), rows);
    list.clear();
    assert.equal(list.count, 0);
  }
});

test('sorting puts revisions in order of main, and leaves those that share one as they were', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const base = random.pick([0, 1, 2 ** 40, 2 ** 53 - 2 ** 37]);
    const span = random.pick([1, 3, 1000, 2 ** 31]);
    const rows = Array.from(
      { length: random.below(200) },
      (): Row => [base + random.below(span), random.below(1000), random.chance(0.5)],
    );
    const list = new RevisionList();
    fill(list, [[1, 1, true]]);
    list.clear();
    fill(list, rows);
    list.sortByMain();
    assert.deepEqual(rowsOf(list), sorted(rows), `seed ${seed}`);
  }
});

test('what is too long or too far apart to be sorted stays as it is', () => {
  const spread = (span: number): Row[] => [
    [7 + span, 1, true],
    [9, 2, false],
    [7, 3, true],
  ];
  const afterSort = (rows: readonly Row[]): Row[] => {
    const list = new RevisionList();
    fill(list, rows);
    list.sortByMain();
    return rowsOf(list);
  };
  const widest = spread(2 ** 37 - 1);
  assert.deepEqual(afterSort(widest), sorted(widest));
  for (const rows of [spread(2 ** 37), spread(2 ** 40)]) assert.deepEqual(afterSort(rows), rows);
  const descending = (count: number): Row[] =>
    Array.from({ length: count }, (_, i): Row => [count - i, i, i % 3 === 0]);
  // As text: comparing so many rows one by one takes long.
  const text = (rows: readonly Row[]): string => JSON.stringify(rows);
  assert.ok(text(afterSort(descending(65_536))) === text(descending(65_536).reverse()));
  assert.ok(text(afterSort(descending(65_537))) === text(descending(65_537)));
});
