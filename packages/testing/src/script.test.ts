import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScript, runScript, ScriptError } from './script.ts';

const SCRIPT = `# A story.

first 1 flag key=value list=(a, b,c) none=()
----
ok

second
some input
over two lines
----
line one
line two
third
----
----
with

an empty line
----
----

# The end.
`;

test('a script is read into commands, arguments, input and expected output', () => {
  const steps = parseScript(SCRIPT.replace('third', '\nthird'));
  assert.deepEqual(
    steps.map(({ line, command, input, expected }) => ({ line, command, input, expected })),
    [
      { line: 3, command: 'first', input: '', expected: 'ok\n' },
      { line: 7, command: 'second', input: 'some input\nover two lines', expected: 'line one\nline two\n' },
      { line: 14, command: 'third', input: '', expected: 'with\n\nan empty line\n' },
    ],
  );
  assert.deepEqual(steps[0]!.args, [
    { key: '1', values: [] },
    { key: 'flag', values: [] },
    { key: 'key', values: ['value'] },
    { key: 'list', values: ['a', 'b', 'c'] },
    { key: 'none', values: [] },
  ]);
});

test('a script whose output is as expected is rewritten to itself', () => {
  const script = SCRIPT.replace('third', '\nthird');
  const outputs = ['ok', 'line one\nline two\n', 'with\n\nan empty line\n'];
  const result = runScript(script, () => outputs.shift()!);
  assert.deepEqual(result.failures, []);
  assert.equal(result.rewritten, script);
});

test('what differs is named by line, and rewritten', () => {
  const result = runScript('a\n----\nold\n\nb\n----\n', (step) =>
    step.command === 'a' ? 'new\n\nmore' : '',
  );
  assert.equal(result.failures.length, 1);
  assert.match(result.failures[0]!, /^line 1: a\n/);
  assert.equal(result.rewritten, 'a\n----\n----\nnew\n\nmore\n----\n----\n\nb\n----\n');
});

test('what is not of the form is an error', () => {
  for (const bad of ['a\n', 'a\n----\n----\nx\n', '=\n----\n', 'a b=(c\n----\n']) {
    assert.throws(() => parseScript(bad), ScriptError, bad);
  }
});
