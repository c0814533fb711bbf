import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SCRIPTS } from './acceptance.ts';

const root = new URL('..', import.meta.url).pathname;

test('every script of the acceptance runs, and has its row in the page', () => {
  const listed = SCRIPTS.map(({ path }) => path);
  const inDirectory = readdirSync(`${root}tests/interop/acceptance`).filter((name) =>
    name.endsWith('.test.ts'),
  );
  for (const name of inDirectory) assert.ok(listed.includes(`acceptance/${name}`), name);
  const page = readFileSync(`${root}docs/acceptance.md`, 'utf8');
  for (const path of listed) {
    assert.ok(existsSync(`${root}tests/interop/${path}`), path);
    assert.ok(page.includes(`| [${path}](`), `npm run acceptance -- ${path}`);
  }
});
