import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { freePort, take } from './free-port.ts';

const root = mkdtempSync(join(tmpdir(), 'free-port-'));
after(() => rmSync(root, { recursive: true }));

test('ports are different, free, and noted as long as the process lives', async () => {
  const ports = new Set<number>();
  for (let i = 0; i < 50; i++) ports.add(await freePort());
  assert.equal(ports.size, 50);
  for (const port of ports) {
    assert.ok(existsSync(join(tmpdir(), 'etcd-test-ports', String(port))));
    const server = createServer();
    await new Promise<void>((resolve, reject) =>
      server.once('error', reject).listen(port, '127.0.0.1', resolve),
    );
    await new Promise((resolve) => server.close(resolve));
  }
  const program = `import { freePort } from ${JSON.stringify(import.meta.resolve('./free-port.ts'))}; console.log(await freePort());`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.match(stdout, /^\d+\n$/, stderr);
  assert.ok(!existsSync(join(tmpdir(), 'etcd-test-ports', stdout.trim())), 'it goes with its process');
});

test('what another process holds is not given away, what a dead one has left is', () => {
  const path = join(root, '12345');
  assert.ok(take(path));
  assert.ok(!take(path), 'once');
  const held = join(root, '12346');
  writeFileSync(held, String(process.ppid));
  assert.ok(!take(held));
  assert.ok(existsSync(held));
  const { pid } = spawnSync('true');
  writeFileSync(held, String(pid));
  assert.ok(!take(held), 'it is only seen to be dead');
  assert.ok(take(held));
  assert.ok(take(join(root, 'absent', '1')), 'nothing can be noted there');
});
