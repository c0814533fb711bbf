/**
 * What a start loads: a list that is kept. What is heavy comes in by a single import somewhere, costs 20 ms and 5 MB, and nobody notices;
 * here it is noticed. Modules are told by where they come from, so that the list stays as it is when files come and go.
 *
 * What is new in it and has to be there is taken over by `REWRITE=1 node --test tests/program/start.test.ts`, after a build.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdServer } from '../support/etcd-server.ts';
import { eventually } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

const OURS = new URL('../../bin/etcd', import.meta.url).pathname;
const DIST = new URL('../../dist/', import.meta.url).pathname;
const KEPT = new URL('start-modules.json', import.meta.url);
const PROBE = new URL('start-probe.ts', import.meta.url).pathname;
/** Every process reads the whole of both, and keeps them. A tenth more than they have. */
const MAX_PROGRAM_BYTES = 2_400_000;
const MAX_CODE_BYTES = 3_000_000;

const NAMES = readdirSync(DIST).filter((name) => /^etcd-[0-9a-f]{16}\./.test(name));

/** As the probe tells it. */
interface Report {
  readonly bundled: readonly string[];
  readonly node: readonly string[];
  readonly files: readonly string[];
}

function sortedSet(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

/** `node_modules/a/b/c.js` comes from `a`, `packages/server/src/rpc/table.ts` from `packages/server/src/rpc`. */
function originOf(module: string): string {
  const [, owner] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module) ?? [];
  return owner ?? module.split('/').slice(0, -1).join('/');
}

function summaryOf({ bundled, node, files }: Report): Record<string, readonly string[]> {
  const isTheirs = (module: string): boolean => module.includes('node_modules/');
  return {
    node: sortedSet(node.flatMap((entry) => /^NativeModule (?!internal\/)(.*)$/.exec(entry)?.[1] ?? [])),
    packages: sortedSet(bundled.filter(isTheirs).map(originOf)),
    ours: sortedSet(bundled.filter((module) => !isTheirs(module)).map(originOf)),
    parts: sortedSet(files.flatMap((file) => /\/dist\/etcd-[0-9a-f]{16}\.(.+)\.cjs$/.exec(file)?.[1] ?? [])),
  };
}

async function reportOfStart(): Promise<Report> {
  const target = join(temporaryDirectory(), 'report');
  const env = { ETCD_NODE_OPTIONS: `--import=${PROBE}`, START_REPORT: target, ETCD_VERIFY: '' };
  const server = await EtcdServer.start({ program: OURS, env });
  try {
    server.signal('SIGUSR2');
    return await eventually('the probe reports', () => {
      try {
        return JSON.parse(readFileSync(target, 'utf8')) as Report;
      } catch {
        // Not yet, or not yet whole.
        return null;
      }
    });
  } finally {
    await server.kill();
  }
}

test('a start loads what is in the list, and nothing else', async () => {
  const summary = summaryOf(await reportOfStart());
  assert.ok(summary['ours']!.includes('packages/server/src/serve'), 'the probe sees what is in the bundle');
  if (process.env['REWRITE'] === '1') writeFileSync(KEPT, `${JSON.stringify(summary, null, 2)}\n`);
  assert.deepEqual(summary, JSON.parse(readFileSync(KEPT, 'utf8')));
});

test('the program and its code are as large as they were, and no larger', () => {
  const sizeOf = (ending: string): number =>
    statSync(join(DIST, NAMES.find((name) => name.endsWith(ending))!)).size;
  assert.ok(sizeOf('.js') <= MAX_PROGRAM_BYTES, `${sizeOf('.js')} bytes`);
  assert.ok(sizeOf('.code') <= MAX_CODE_BYTES, `${sizeOf('.code')} bytes`);
});

test('what stands in files beside the program can be loaded from there, each package of it', () => {
  const require = createRequire(import.meta.url);
  const parts = NAMES.filter((name) => name.endsWith('.cjs'));
  assert.ok(parts.length >= 8, NAMES.join(' '));
  for (const part of parts) {
    const packages = require(join(DIST, part)) as Readonly<Record<string, object>>;
    for (const name of Object.keys(packages)) {
      // This one is loaded for what it does.
      const isEmpty = Object.keys(packages[name]!).length === 0;
      assert.equal(isEmpty, name === 'reflect-metadata', `${part}: ${name}`);
    }
  }
});
