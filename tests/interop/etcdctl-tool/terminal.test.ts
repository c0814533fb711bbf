/** On a terminal etcdctl asks as the tool of etcd 3.7 does, and shows no secret. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, REFERENCE, ROOT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

const SCRIPT = new URL('terminal.py', import.meta.url).pathname;

type Answers = readonly (readonly [prompt: string, typed: string])[];

interface Played {
  readonly shown: string;
  readonly code: number;
}

/** What each says, and what is typed; the names of users differ between the tools. */
const SCENES: readonly {
  readonly name: string;
  readonly args: readonly string[];
  readonly answers: Answers;
}[] = [
  {
    name: 'a password is asked for twice',
    args: ['user', 'add', 'USER1'],
    answers: [
      ['Password of', 'se\x7fecret\r'],
      ['again', 'secret\r'],
    ],
  },
  {
    name: 'passwords that differ',
    args: ['user', 'add', 'USER2'],
    answers: [
      ['Password of', 'secret\r'],
      ['again', 'other\r'],
    ],
  },
  { name: 'no password', args: ['user', 'add', 'USER3'], answers: [['Password of', '\r']] },
  {
    name: 'a password is changed',
    args: ['user', 'passwd', 'USER1'],
    answers: [
      ['Password of', 'new\r'],
      ['again', 'new\r'],
    ],
  },
  {
    name: 'the password of a user who comes',
    args: ['get', 'k', '--user=joe'],
    answers: [['Password: ', 'x\r']],
  },
  {
    name: 'a transaction is asked for in three parts',
    args: ['txn', '-i'],
    answers: [
      ['compares:', '\r'],
      ['success requests', 'get nothing\r\r'],
      ['failure requests', '\r'],
    ],
  },
];

describe('etcdctl on a terminal', needs('etcd 3.5', 'etcd 3.7', 'python3'), () => {
  let server: EtcdServer;
  before(async () => {
    server = await EtcdServer.start({ program: REFERENCE, flags: FAST_ELECTION });
  });
  after(() => server.stop());

  async function play(
    program: string,
    user: string,
    args: readonly string[],
    answers: Answers,
  ): Promise<Played> {
    const named = args.map((argument) => argument.replace('USER', user));
    const command = [program, `--endpoints=${server.address}`, ...named];
    const { stdout, stderr, code } = await run(tool('python3'), [SCRIPT], {
      // The tool of Go knows no colours.
      stdin: JSON.stringify({ command, answers, env: { NO_COLOR: '1' } }),
    });
    assert.equal(code, 0, stderr);
    const played = JSON.parse(stdout) as Played;
    // Go's tool logs where ours says nothing, and says nothing of what to try.
    const shown = played.shown.replaceAll(user, 'USER').replace(/(\{"level"|hint: ).*\r\n/g, '');
    return { shown, code: played.code };
  }

  for (const { name, args, answers } of SCENES) {
    test(name, async () => {
      const ours = await play(`${ROOT}bin/etcdctl`, 'our', args, answers);
      const theirs = await play(peer('3.7', 'etcdctl'), 'their', args, answers);
      assert.deepEqual(ours, theirs);
      assert.doesNotMatch(ours.shown, /secret|other|new\b/);
    });
  }
});
