/** A data directory with users, roles and authentication switched on goes from Go to ours and back. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION, USUAL_PASSWORDS } from '../../support/etcd-server.ts';
import { isGo, needs, peer, SUBJECT } from '../../support/programs.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';
import { checkVerdicts, makeUsers, readUsers, UserRpc, type Users } from './users.ts';

/** Each leg leaves a change behind that the next one has to find. */
async function travel(programs: readonly string[], ending: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const dataDir = join(temporaryDirectory(), 'data');
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  let before: Users | null = null;
  for (const [leg, program] of programs.entries()) {
    const flags = [
      ...FAST_ELECTION,
      USUAL_PASSWORDS,
      ...(isGo(program) ? [] : ['--max-cluster-version=3.5']),
    ];
    const server = await EtcdServer.start({ program, dataDir, clientPort, peerPort, flags });
    const root = new UserRpc(server.address, 'root', 'pw');
    try {
      if (leg === 0) {
        const anyone = new EtcdRpc(server.address);
        await makeUsers(anyone);
        await anyone.call('Auth.AuthEnable', {});
        anyone.close();
      }
      await root.login();
      if (before !== null) assert.deepEqual(await readUsers(root), before, `found by leg ${leg}`);
      await checkVerdicts(server.address);
      await root.call('Auth.UserAdd', { name: `of leg ${leg}`, password: 'x' });
      await root.call('Auth.UserChangePassword', { name: 'u', password: 'secret' });
      const perm = { permType: 'READ', key: 'zz', range_end: leg % 2 === 0 ? '' : '\0' };
      await root.call('Auth.RoleGrantPermission', { name: 'r', perm });
      before = await readUsers(root);
    } finally {
      root.close();
      await server.stop(ending);
    }
  }
}

const options = needs('etcd 3.5', 'etcd 3.7');

for (const go of ['3.5', '3.7'] as const) {
  test(`users of etcd ${go} are users here, and there again`, options, () =>
    travel([peer(go, 'etcd'), SUBJECT, peer(go, 'etcd'), SUBJECT], 'SIGTERM'),
  );
}

test('users made here are users of etcd 3.5, after each has been killed', options, () =>
  travel([SUBJECT, peer('3.5', 'etcd'), SUBJECT], 'SIGKILL'),
);
