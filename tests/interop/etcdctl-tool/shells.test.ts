/** The scripts that `completion` prints, in the shells that they are for. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { needs, ROOT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

const SCRIPT = new URL('terminal.py', import.meta.url).pathname;
const env = { PATH: `${ROOT}bin:${process.env['PATH']}` };

for (const [program, typed, expected] of [
  ['etcdctl', 'memb', ['member']],
  ['etcdctl', 'member ', ['add', 'list', 'promote', 'remove', 'update']],
  ['etcdctl', 'get --pref', ['--prefix']],
  ['etcdctl', 'get k -w ', ['fields', 'json', 'protobuf', 'simple', 'table']],
  ['etcdutl', 'snapshot r', ['restore']],
] as const) {
  describe(`${program} ${typed}<tab>`, () => {
    test('in bash', async () => {
      const words = [program, ...typed.split(' ')];
      const script = `source <(${program} completion bash)
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _${program}_complete
printf '%s\\n' "\${COMPREPLY[@]}"`;
      const { stdout, stderr } = await run('bash', ['--norc', '-c', script], { env });
      assert.deepEqual(stdout.trim().split('\n').sort(), expected, stderr);
    });

    test('in fish', needs('fish'), async () => {
      const script = `${program} completion fish | source; complete -C '${program} ${typed}'`;
      const { stdout, stderr } = await run(tool('fish'), ['--no-config', '-c', script], { env });
      const words = stdout
        .trim()
        .split('\n')
        .map((line) => line.split('\t')[0]);
      assert.deepEqual(words.sort(), expected, stderr);
    });

    test('in zsh', needs('zsh', 'python3'), async () => {
      // What can be completed in one way only is; else everything is listed.
      const answers = [
        ['READY', `${program} ${typed}\t${expected.length > 1 ? '\t' : ''}`],
        [expected.at(-1) ?? '', '\x15exit 0\r'],
      ];
      const init = `unsetopt promptsp; autoload -U compinit; compinit -u; source <(${program} completion zsh); PS1='REA''DY'`;
      const stdin = JSON.stringify({
        command: [tool('zsh'), '-f', '-i'],
        answers: [['GO>', `${init}\r`], ...answers],
        env: { ...env, TERM: 'dumb', HOME: '/nonexistent', PS1: 'GO>' },
      });
      const { code, stdout, stderr } = await run(tool('python3'), [SCRIPT], { stdin, env });
      assert.equal(code, 0, stderr);
      const { shown } = JSON.parse(stdout) as { shown: string };
      for (const word of expected) assert.ok(shown.includes(word), shown);
    });
  });
}
