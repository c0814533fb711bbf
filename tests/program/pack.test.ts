/** What is packed for npm is installed as others would, without this repository: it runs, and its types hold. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import { ROOT } from '../support/programs.ts';
import { run } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const TIMEOUT_MS = 240_000;

/** An application, as its author would write it. */
const APPLICATION = `
import { startTestEtcd, type TestEtcd } from '@etcd/test-server';
import { compare, EtcdError, isError, op, RPC_ERRORS, type WatchBatch } from '@etcd/client';
import { connect } from '@etcd/client/node';

const flags = ['--bcrypt-cost=4'];
await using etcd: TestEtcd = await startTestEtcd({ flags });
const endpoint = process.argv[2] ?? etcd.endpoint;
await using client = connect({ endpoints: [endpoint], timeoutMs: 10_000 });
await client.auth.userAdd('joe', 'secret');
await client.kv.put('greeting', 'hello');
const { succeeded } = await client.kv
  .txn()
  .when(compare.value('greeting', '=', 'hello'))
  .do(op.put('greeting', 'goodbye'))
  .commit();
const watch = client.watch('greeting', { startRevision: 1 });
const seen: string[] = [];
for await (const batch of watch) {
  const { events }: WatchBatch = batch;
  seen.push(...events.map(({ kv }) => Buffer.from(kv?.value ?? []).toString()));
  if (seen.length >= 2) break;
}
try {
  await client.kv.put('', 'no');
} catch (error) {
  if (!(error instanceof EtcdError) || !isError(error, RPC_ERRORS.ErrGRPCEmptyKey)) throw error;
  seen.push(error.message);
}
await using lock = await client.lock('mine');
seen.push(String(lock.revision > 0));
console.log(JSON.stringify([succeeded, ...seen]));
`;

test('packages for npm are installed, compile, and run without this repository', async (t) => {
  const packed = temporaryDirectory();
  const pack = await run(process.execPath, [`${ROOT}tools/pack.ts`, packed], { timeoutMs: TIMEOUT_MS });
  assert.equal(pack.code, 0, pack.stderr);
  const tarballs = readdirSync(packed);
  assert.equal(tarballs.length, 7);

  const home = temporaryDirectory();
  writeFileSync(
    join(home, 'package.json'),
    JSON.stringify({ name: 'application', private: true, type: 'module' }),
  );
  const flags = ['--offline', '--no-audit', '--no-fund', '--loglevel=error'];
  const install = await run('npm', ['install', ...flags, ...tarballs.map((name) => join(packed, name))], {
    cwd: home,
    timeoutMs: TIMEOUT_MS,
  });
  assert.equal(install.code, 0, install.stderr);
  for (const name of ['client', 'raft', 'test-server']) {
    const files = readdirSync(join(home, 'node_modules/@etcd', name), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      files.filter((file) => /\.test\.|testing|tsconfig/.test(file)),
      [],
    );
  }

  // The types of Node are the application's own.
  mkdirSync(join(home, 'node_modules/@types'), { recursive: true });
  for (const each of ['@types/node', 'undici-types'])
    symlinkSync(`${ROOT}node_modules/${each}`, join(home, 'node_modules', each));
  writeFileSync(join(home, 'application.ts'), APPLICATION);
  const options = [
    '--strict',
    '--target',
    'es2024',
    '--lib',
    'es2024,esnext.disposable',
    '--module',
    'nodenext',
    '--types',
    'node',
    '--exactOptionalPropertyTypes',
  ];
  const compile = await run(`${ROOT}node_modules/.bin/tsc`, [...options, 'application.ts'], {
    cwd: home,
    timeoutMs: TIMEOUT_MS,
  });
  assert.equal(compile.code, 0, compile.stdout);

  // Against the server that is packed too, and against the program.
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  t.after(() => server.stop());
  for (const addresses of [[], [server.address]]) {
    const { code, stdout, stderr } = await run(process.execPath, ['application.js', ...addresses], {
      cwd: home,
    });
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), [
      true,
      'hello',
      'goodbye',
      'etcdserver: key is not provided',
      'true',
    ]);
  }
  for (const name of ['base', 'api', 'raft', 'bbolt', 'transport', 'client', 'test-server']) {
    const manifest = JSON.parse(
      readFileSync(join(home, 'node_modules/@etcd', name, 'package.json'), 'utf8'),
    ) as {
      exports: Record<string, { source?: string; types: string; default: string }>;
    };
    for (const target of Object.values(manifest.exports).flatMap((each) => Object.values(each))) {
      readFileSync(join(home, 'node_modules/@etcd', name, target));
    }
  }
});
