/** What `bin/etcdctl` and `bin/etcdutl` show people at a terminal, and keep from everybody else. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, ROOT, tool } from '../../support/programs.ts';
import { type Ended, eventually, PATIENCE_MS, Running, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const SCRIPT = new URL('terminal.py', import.meta.url).pathname;
const ETCDCTL = `${ROOT}bin/etcdctl`;
const ETCDUTL = `${ROOT}bin/etcdutl`;
const ESCAPE = '\x1b';
const INTERRUPT = '\x03';

interface Scene {
  readonly command: readonly string[];
  readonly answers?: readonly (readonly [shown: string, typed: string])[];
  readonly env?: Readonly<Record<string, string>>;
  readonly tells?: boolean;
}

interface Played {
  readonly shown: string;
  readonly code: number;
}

/** Escapes are shown as `^[`. */
function played({ code, stdout, stderr }: Ended): Played {
  assert.equal(code, 0, stderr);
  const { shown, code: ended } = JSON.parse(stdout) as Played;
  return { shown: shown.replaceAll(ESCAPE, '^['), code: ended };
}

async function play(scene: Scene): Promise<Played> {
  const stdin = JSON.stringify({ answers: [], ...scene, env: { TERM: 'xterm', ...scene.env } });
  return played(await run(tool('python3'), [SCRIPT], { stdin }));
}

describe('at a terminal', needs('python3'), () => {
  let server: EtcdServer;
  let ctl: readonly string[];

  before(async () => {
    server = await EtcdServer.start({ flags: FAST_ELECTION });
    ctl = [ETCDCTL, `--endpoints=${server.address}`];
    for (let i = 0; i < 20; i++) await run(ETCDCTL, [...ctl.slice(1), 'put', `k/${i}`, 'v'.repeat(1000)]);
  });
  after(() => server.stop());

  test('tables have heads in bold, unless NO_COLOR says otherwise, and nowhere else', async () => {
    const command = [...ctl, 'member', 'list', '-w', 'table'];
    const coloured = await play({ command });
    assert.match(coloured.shown, /\^\[\[1m +ID +\^\[\[22m/);
    const plain = await play({ command, env: { NO_COLOR: '1' } });
    assert.equal(plain.shown.includes('^['), false);
    assert.equal((await play({ command, env: { TERM: 'dumb' } })).shown, plain.shown);
    const { stdout } = await run(ETCDCTL, command.slice(1));
    assert.equal(plain.shown.replaceAll('\r', ''), stdout);
  });

  test('rows of simple answers stand in columns', async () => {
    // The second way to the same server is written shorter.
    const short = `0:${server.clientPort}`;
    const long = `127.0.0.1:${server.clientPort}`;
    const command = [ETCDCTL, `--endpoints=${long},${short}`, 'endpoint', 'hashkv'];
    const { shown } = await play({ command });
    const [first = '', second = ''] = shown.split('\r\n');
    const gap = ' '.repeat(1 + long.length - short.length);
    assert.match(first, new RegExp(`^${long}, \\d`));
    assert.match(second, new RegExp(`^${short},${gap}\\d`));
    const { stdout } = await run(ETCDCTL, command.slice(1));
    assert.doesNotMatch(stdout, / {2}/);
  });

  test('what is healthy is green, and an error red with what to try behind it', async () => {
    const healthy = await play({ command: [...ctl, 'endpoint', 'health'] });
    assert.match(healthy.shown, /is \^\[\[32mhealthy\^\[\[39m: /);
    const flags = ['--endpoints=127.0.0.1:1', '--command-timeout=1s'];
    const sick = await play({ command: [ETCDCTL, ...flags, 'endpoint', 'health'] });
    assert.match(sick.shown, /is \^\[\[31munhealthy\^\[\[39m: /);
    const failed = await play({ command: [ETCDCTL, ...flags, 'get', 'k'] });
    assert.equal(failed.code, 1);
    assert.match(failed.shown, /^\^\[\[31mError:\^\[\[39m .*\r\n\^\[\[2mhint: does a member listen there/m);
    const { stderr } = await run(ETCDCTL, [...flags, 'get', 'k']);
    assert.match(stderr, /^Error: [^\n]+\n$/);
    assert.doesNotMatch(stderr, /hint/);
  });

  test('etcdutl says what to try, too', async () => {
    const command = [ETCDUTL, 'snapshot', 'restore', '/dev/null', '--data-dir', '/tmp'];
    const { shown, code } = await play({ command, env: { NO_COLOR: 'yes' } });
    assert.equal(code, 1);
    assert.match(
      shown,
      /Error: data-dir "\/tmp" not empty .*\r\nhint: name another directory with --data-dir/,
    );
  });

  test('a bar shows how far saving, restoring, defragmenting and mirroring are, and goes when they are done', async (t) => {
    const directory = temporaryDirectory();
    const snapshot = join(directory, 's.db');
    const dataDir = join(directory, 'made');
    const target = await EtcdServer.start({ flags: FAST_ELECTION });
    t.after(() => target.kill());
    const mirrored: Scene['answers'] = [['20 / 20 keys', INTERRUPT]];
    for (const [name, scene] of Object.entries({
      snapshot: { command: [...ctl, 'snapshot', 'save', snapshot] },
      restore: { command: [ETCDCTL, '--data-dir', dataDir, 'snapshot', 'restore', snapshot] },
      defrag: { command: [ETCDUTL, 'defrag', '--data-dir', dataDir] },
      'defrag ': { command: [...ctl, 'defrag'] },
      copy: { command: [...ctl, 'make-mirror', target.address], answers: mirrored },
    })) {
      const { shown, code } = await play(scene);
      assert.match(shown, new RegExp(`${name.trim()} \\[[=-]+\\] \\d+% `), name);
      assert.equal(code, name === 'copy' ? -2 : 0, shown);
      // Hidden at the beginning, and shown again at the end.
      assert.ok(shown.lastIndexOf('^[[?25h') > shown.lastIndexOf('^[[?25l'), name);
    }
    assert.ok(existsSync(join(dataDir, 'member/snap/db')));
    const quiet = await run(ETCDUTL, [
      'snapshot',
      'restore',
      snapshot,
      '--data-dir',
      join(directory, 'other'),
    ]);
    assert.doesNotMatch(quiet.stderr, /\[=/);
  });

  test('a watch says that it was interrupted and goes on, and loses nothing', async (t) => {
    const flags = [...FAST_ELECTION];
    const first = await EtcdServer.start({ flags });
    const put = (at: EtcdServer, value: string): Promise<Ended> =>
      run(ETCDCTL, [`--endpoints=${at.address}`, 'put', 'k', value]);
    const answers = [['three', INTERRUPT]];
    const command = [ETCDCTL, `--endpoints=${first.address}`, 'watch', 'k', '--rev=1'];
    const running = new Running(tool('python3'), [SCRIPT], {
      stdin: JSON.stringify({ command, answers, env: { NO_COLOR: '1' }, tells: true }),
      timeoutMs: 2 * PATIENCE_MS,
    });
    await put(first, 'one');
    await eventually('the first event', () => running.stderr.includes('one'));
    await first.kill();
    const { clientPort, peerPort, dataDir } = first;
    const second = await EtcdServer.start({ flags, clientPort, peerPort, dataDir });
    t.after(() => second.kill());
    await put(second, 'two');
    await put(second, 'three');
    const { shown } = played(await running.ended);
    assert.match(shown, /watch: the connection was lost; going on from revision \d+\r\n/);
    assert.deepEqual(
      shown.match(/^(one|two|three)\r$/gm)?.map((line) => line.trim()),
      ['one', 'two', 'three'],
    );
  });
});
