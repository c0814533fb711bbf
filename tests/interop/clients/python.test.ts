/** etcd clients that others have made in Python: what they see of ours is what they see of real etcd. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, SUBJECT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

/** What the script prints, of a server of its own. */
async function printed(program: string, client: 'python3-etcd3' | 'python3-etcd3gw'): Promise<string[]> {
  const name = client === 'python3-etcd3' ? 'etcd3_client.py' : 'etcd3gw_client.py';
  const script = new URL(name, import.meta.url).pathname;
  const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
  try {
    const { code, stdout, stderr } = await run(tool(client), [script, server.address]);
    assert.equal(code, 0, `${program}: ${stderr}`);
    return stdout.trimEnd().split('\n');
  } finally {
    await server.kill();
  }
}

for (const client of ['python3-etcd3', 'python3-etcd3gw'] as const) {
  test(client, needs(client, 'etcd 3.5', 'etcd 3.7'), async () => {
    const ours = await printed(SUBJECT, client);
    assert.ok(ours.length >= 14 && ours.at(-1)!.startsWith('error'), ours.join('\n'));
    for (const release of ['3.5', '3.7'] as const) {
      assert.deepEqual(ours, await printed(peer(release, 'etcd'), client), release);
    }
  });
}
