import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { directEdges, withDrawings } from './drawing.ts';

test('ARCHITECTURE.md shows the layout that is checked', () => {
  const text = readFileSync(new URL('../ARCHITECTURE.md', import.meta.url), 'utf8');
  assert.equal(text, withDrawings(text), 'run: node tools/drawing.ts');
});

test('an arrow that follows from others is not drawn', () => {
  const edges = { base: [], api: ['base'], storage: ['base', 'api'], server: ['base', 'storage', 'api'] };
  assert.deepEqual(directEdges(edges, 'server'), ['storage']);
  assert.deepEqual(directEdges(edges, 'storage'), ['api']);
  assert.deepEqual(directEdges(edges, 'base'), []);
});
