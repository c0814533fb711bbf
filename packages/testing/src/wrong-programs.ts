/** Programs that must not compile, for tests of types: one that makes a mistake possible again compiles, and the test fails. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';

const ROOT = new URL('../../..', import.meta.url).pathname;

/**
 * Makes a test of each of `programs`, by name. A program is right but for the line that has a `!` in front, where the compiler has to
 * find its only mistake. `SERVER` in it is the path of the server's sources. All are compiled in one run.
 */
export function testWrongPrograms(programs: Readonly<Record<string, string>>): void {
  let directory: string;
  let output: string;

  before(() => {
    mkdirSync(`${ROOT}.cache`, { recursive: true });
    directory = mkdtempSync(`${ROOT}.cache/wrong-programs-`);
    for (const [index, text] of Object.values(programs).entries()) {
      const marked = text.replaceAll('SERVER', `${ROOT}packages/server/src`).replace(/^! /m, '');
      writeFileSync(`${directory}/p${index}.ts`, marked);
    }
    const compilerOptions = { types: ['node'], noUnusedLocals: false };
    const config = { extends: '../../tsconfig.base.json', compilerOptions, include: ['*.ts'] };
    writeFileSync(`${directory}/tsconfig.json`, JSON.stringify(config));
    output = spawnSync(`${ROOT}node_modules/.bin/tsc`, ['-p', directory], { encoding: 'utf8' }).stdout;
  });

  after(() => rmSync(directory, { recursive: true }));

  for (const [index, [name, text]] of Object.entries(programs).entries()) {
    test(`does not compile: ${name}`, () => {
      const line = text.slice(0, text.search(/^! /m)).split('\n').length;
      const errors = [...output.matchAll(/^[^ \n]*p(\d+)\.ts\((\d+),/gm)].filter(
        ([, file]) => Number(file) === index,
      );
      assert.deepEqual([...new Set(errors.map(([, , at]) => Number(at)))], [line], output);
    });
  }
}
