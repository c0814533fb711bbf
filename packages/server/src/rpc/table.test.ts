import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { SERVICES } from '@etcd/api/services';
import { rpcsDocument } from './rpcs-document.ts';
import { RPC_TABLE } from './table.ts';

test('S04 every method of every service has its row, and only those', () => {
  const methods = SERVICES.flatMap((service) => Object.values(service.methods));
  const paths = RPC_TABLE.map(({ method }) => method.path);
  assert.deepEqual([...paths].sort(), methods.map(({ path }) => path).sort());
});

test('the document says what the table says', () => {
  const written = readFileSync(new URL('../../../../docs/rpcs.md', import.meta.url), 'utf8');
  assert.equal(written, rpcsDocument(), 'run: node packages/server/src/rpc/rpcs-document.ts');
});
