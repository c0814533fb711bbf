import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runScript, type ScriptStep } from '@etcd/testing';
import { ConfChangeScript } from './rafttest/confchange-script.ts';
import { InteractionEnv } from './rafttest/interaction-env.ts';
import { runQuorumCommand } from './rafttest/quorum-script.ts';

type Handler = (step: ScriptStep) => string;

// A new handler for each script: what one leaves behind is nothing to the next.
const KINDS: readonly {
  readonly folder: string;
  readonly publicFolder: string;
  readonly handler: () => Handler;
}[] = [
  {
    folder: 'interaction',
    publicFolder: 'testdata',
    handler: () => {
      const env = new InteractionEnv();
      return (step) => env.handle(step);
    },
  },
  {
    folder: 'confchange',
    publicFolder: 'confchange/testdata',
    handler: () => {
      const script = new ConfChangeScript();
      return (step) => script.handle(step);
    },
  },
  { folder: 'quorum', publicFolder: 'quorum/testdata', handler: () => runQuorumCommand },
];

function scriptsIn(folder: string): string[] {
  const files = globSync('*.txt', { cwd: folder }).sort();
  assert.ok(files.length > 0, `there is no script in ${folder}`);
  return files.map((file) => join(folder, file));
}

function run(path: string, handler: Handler, mayRewrite: boolean): void {
  const { failures, rewritten } = runScript(readFileSync(path, 'utf8'), handler);
  if (mayRewrite) writeFileSync(path, rewritten);
  else assert.equal(failures.join('\n'), '');
}

// REWRITE=1 puts the actual output into this project's scripts: read the difference before it is committed.
const rewrite = process.env['REWRITE'] === '1';
for (const { folder, handler } of KINDS) {
  for (const path of scriptsIn(join(import.meta.dirname, '../testdata', folder))) {
    test(`script ${path.split('/testdata/')[1]}`, () => run(path, handler(), rewrite));
  }
}

// The scripts of the public etcd raft library, which are not part of this project.
const publicRoot =
  process.env['RAFT_TESTDATA'] ?? join(import.meta.dirname, '../../../../shared/raft-testdata');
if (existsSync(publicRoot)) {
  for (const { publicFolder, handler } of KINDS) {
    for (const path of scriptsIn(join(publicRoot, publicFolder))) {
      test(`public script ${path.slice(publicRoot.length + 1)}`, () => run(path, handler(), false));
    }
  }
} else {
  test('public scripts', (context) => {
    const notice = `the public raft library's scripts were NOT RUN: there is no ${publicRoot} (set RAFT_TESTDATA)`;
    context.diagnostic(notice);
    process.stderr.write(`\n*** ${notice} ***\n\n`);
  });
}
