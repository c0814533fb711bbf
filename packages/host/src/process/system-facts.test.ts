import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemErrorText } from './system-error.ts';
import {
  connectionLimit,
  descriptorCount,
  limitIn,
  networkBytes,
  residentBytes,
  runtimeFields,
} from './system-facts.ts';

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units
Max cpu time              unlimited            unlimited            seconds
Max open files            20000                30000                files
Max address space         unlimited            unlimited            bytes
`;

test('limits are read from the table of the kernel', () => {
  assert.equal(limitIn(LIMITS, 'Max open files'), 20_000);
  assert.equal(limitIn(LIMITS, 'Max address space'), null);
  assert.equal(limitIn('', 'Max open files'), null);
});

test('connections get the descriptors that a member does not need itself', () => {
  assert.equal(connectionLimit(20_000), 19_850);
  assert.equal(connectionLimit(100), 0);
  assert.equal(connectionLimit(null), null);
});

test('network counters are found by the names of their columns', () => {
  const text = 'TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 5 600 700\n';
  assert.deepEqual(networkBytes(text), { received: 600, sent: 700 });
  assert.equal(networkBytes(''), null);
  assert.equal(networkBytes('IpExt: X\nIpExt: 1\n'), null);
});

test('the facts of the machine are finite and there', () => {
  const fields = runtimeFields();
  assert.ok(Number(fields['memory-bytes']) > 0 && Number.isFinite(fields['memory-bytes']));
  assert.ok(Number(fields['heap-limit-bytes']) > 0);
  if (process.platform === 'linux') assert.ok((descriptorCount() ?? 0) > 3);
});

test('errors of the system are told in its words', () => {
  assert.equal(
    systemErrorText(Object.assign(new Error('x'), { code: 'ENOENT' })),
    'no such file or directory',
  );
  assert.equal(
    systemErrorText(Object.assign(new Error('x'), { code: 'EADDRINUSE' })),
    'address already in use',
  );
  assert.equal(systemErrorText(new Error('plain')), 'plain');
  assert.equal(systemErrorText('text'), 'text');
});

test('where the kernel does not tell how much memory is resident, nobody ends because of it', () => {
  assert.ok(residentBytes()! > 1_000_000);
  const missing = (): number => {
    throw new Error('ENOENT: no such file or directory, uv_resident_set_memory');
  };
  assert.equal(residentBytes(missing), null);
});
