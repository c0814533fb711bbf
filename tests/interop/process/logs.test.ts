/** Where log lines go, in which form, and what happens to a file that is full: with the real outputs, beside real etcd. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT, tool } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const PROGRAMS = [
  ['ours', SUBJECT],
  ['3.7', peer('3.7', 'etcd')],
] as const;
/** What a test has started and not ended: it ends with the tests, also when one fails. */
const running: EtcdServer[] = [];
after(() => Promise.all(running.map((server) => server.kill())));

/** Go compiles its tool when it is used for the first time. */
const GO_TIMEOUT_MS = 240_000;

const READY = 'ready to serve client requests';

/** Starts a program whose log goes elsewhere, waits until a file says that it serves, and ends it. */
async function runWith(program: string, flags: readonly string[], file: string | null) {
  const server = await EtcdServer.launch({ program, flags: [...FAST_ELECTION, ...flags] });
  running.push(server);
  if (file === null) await server.ready();
  else await eventually('the member serves', () => readIfThere(file).includes(READY));
  return server.stop();
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** What each refusal says, as the program under test says it: it runs first. */
const EXPECTED = new Map<string, string>();

for (const [name, program] of PROGRAMS) {
  test(`${name}: lines go to a file, to standard output, or to all of what is named`, async () => {
    const file = join(temporaryDirectory(), 'etcd.log');
    const alone = await runWith(program, [`--log-outputs=${file}`], file);
    assert.ok(!alone.stderr.includes(READY) && alone.stdout === '');
    const before = readFileSync(file, 'utf8').length;
    const all = await runWith(program, [`--log-outputs=${file},stdout,stderr`], null);
    for (const text of [readFileSync(file, 'utf8').slice(before), all.stdout, all.stderr]) {
      assert.ok(text.includes(READY), `${name}: ${text.slice(0, 100)}`);
    }
  });

  test(`${name}: lines are JSON, or columns for people`, async () => {
    const json = await runWith(program, ['--log-level=debug'], null);
    const lines = json.stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.ok(lines.some(({ level, msg }) => level === 'info' && msg === READY));
    const file = join(temporaryDirectory(), 'etcd.log');
    await runWith(program, ['--log-format=console', `--log-outputs=${file}`], file);
    assert.match(
      readFileSync(file, 'utf8'),
      /^\d{4}-\d\d-\d\dT[^\t]+\tinfo\t[^\t]+\tready to serve client requests/m,
    );
  });

  test(`${name}: outputs that can't be are refused`, async () => {
    for (const flags of [
      ['--log-outputs=/nonexistent/etcd.log'],
      ['--log-outputs=default,stderr'],
      ['--log-outputs=systemd/journal'],
      ['--log-format=xml'],
      ['--log-level=loud'],
      ['--enable-log-rotation'],
      ['--enable-log-rotation', '--log-outputs=/a,/b'],
      ['--enable-log-rotation', '--log-outputs=/tmp/a', '--log-rotation-config-json={'],
      ['--enable-log-rotation', '--log-outputs=/tmp/a', '--log-rotation-config-json={"maxsize":""}'],
    ]) {
      const dataDir = join(temporaryDirectory(), 'data');
      const { code, stderr } = await run(program, [`--data-dir=${dataDir}`, ...flags]);
      // etcd panics where a level is none.
      assert.ok(code !== 0 && code !== null, flags.join());
      const refusal = refusalOf(stderr);
      if (name === 'ours') EXPECTED.set(flags.join(' '), refusal);
      else if (refusal !== '') assert.equal(EXPECTED.get(flags.join(' ')), refusal);
    }
  });

  test(`${name}: a file that is full begins anew`, async () => {
    const directory = temporaryDirectory();
    const file = join(directory, 'etcd.log');
    writeFileSync(file, 'x'.repeat(1024 * 1024 - 100));
    const json = '{"maxsize":1,"maxbackups":1,"compress":true}';
    const flags = ['--enable-log-rotation', `--log-outputs=${file}`, `--log-rotation-config-json=${json}`];
    const server = await EtcdServer.launch({ program, flags: [...FAST_ELECTION, ...flags] });
    running.push(server);
    const names = await eventually('the old file is compressed', () => {
      const found = readdirSync(directory).sort();
      return found.length === 2 && found.some((one) => one.endsWith('.gz')) ? found : null;
    });
    await eventually('the member serves', () => readIfThere(file).includes(READY));
    await server.stop();
    assert.match(names[0]!, /^etcd-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}\.log\.gz$/);
    assert.ok(readFileSync(file).length < 100_000);
  });
}

function refusalOf(stderr: string): string {
  const last = stderr.trim().split('\n').at(-1)!;
  return last.startsWith('{') ? String((JSON.parse(last) as { error: string }).error) : '';
}

test('profiles are read by the tools of Go', needs('go'), async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--enable-pprof'] });
  running.push(server);
  const base = `${server.clientUrl}/debug/pprof`;
  const env = { PPROF_TMPDIR: temporaryDirectory(), GOTOOLCHAIN: 'local' };
  const top = async (url: string): Promise<string> => {
    const { code, stdout, stderr } = await run(tool('go'), ['tool', 'pprof', '-top', url], {
      env,
      timeoutMs: GO_TIMEOUT_MS,
    });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  assert.match(await top(`${base}/heap`), /Type: inuse_space/);
  assert.match(await top(`${base}/profile?seconds=1`), /Type: cpu/);
  assert.match(await top(`${base}/goroutine`), /Type: goroutine\n[\s\S]*Showing nodes accounting for/);
  assert.match(await top(`${base}/threadcreate`), /Type: threadcreate/);
});

test('the level of the log changes while a member runs', async () => {
  const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--enable-pprof'] });
  running.push(server);
  const url = `${server.clientUrl}/debug/log-level`;
  const set = (level: string, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`${url}?level=${level}`, { method: 'PUT', headers });
  assert.equal((await set('debug', { origin: 'http://evil' })).status, 403);
  assert.equal(
    server.log.some(({ level }) => level === 'debug'),
    false,
  );
  assert.deepEqual(await (await set('debug')).json(), { level: 'debug' });
  await fetch(`${server.clientUrl}/health`);
  await server.waitForLog('the level of the log was changed');
  assert.deepEqual(await (await fetch(url)).json(), { level: 'debug' });
  const closed = await EtcdServer.start({ flags: FAST_ELECTION });
  running.push(closed);
  assert.equal(
    (await fetch(`${closed.clientUrl}/debug/log-level?level=debug`, { method: 'PUT' })).status,
    404,
  );
});
