/** Users of a round's cluster: one that is root, and one that may write what clients write. Tokens are signed, so that they outlive their members' restarts. */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../support/cluster.ts';
import type { EtcdRpc } from '../support/etcd-rpc.ts';
import { eventually } from '../support/run.ts';
import { temporaryDirectory } from '../support/temporary.ts';

/** Nobody has to say who asks. */
export const NO_USERS: Users = { client: {}, root: {} };

export interface Users {
  /** What clients send with each call. */
  readonly client: Readonly<Record<string, string>>;
  readonly root: Readonly<Record<string, string>>;
}

const PASSWORD = 'secret';

/** The flag by which all members sign tokens with one key. */
export function tokenFlag(): string {
  const directory = temporaryDirectory();
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [priv, pub] = [join(directory, 'priv.pem'), join(directory, 'pub.pem')];
  writeFileSync(priv, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  return `--auth-token=jwt,pub-key=${pub},priv-key=${priv},sign-method=RS256,ttl=2h`;
}

/** Makes users, and enables authentication; the cluster's own calls are root's from then on. */
export async function makeUsers(cluster: Cluster): Promise<Users> {
  const leader = await cluster.leader();
  const { rpc } = leader;
  const everything = Buffer.from([0]);
  await rpc.call('Auth.UserAdd', { name: 'root', password: PASSWORD });
  await rpc.call('Auth.RoleAdd', { name: 'root' });
  await rpc.call('Auth.UserGrantRole', { user: 'root', role: 'root' });
  await rpc.call('Auth.RoleAdd', { name: 'writer' });
  const perm = { permType: 'READWRITE', key: everything, range_end: everything };
  await rpc.call('Auth.RoleGrantPermission', { name: 'writer', perm });
  await rpc.call('Auth.UserAdd', { name: 'client', password: PASSWORD });
  await rpc.call('Auth.UserGrantRole', { user: 'client', role: 'writer' });
  await rpc.call('Auth.AuthEnable', {});
  const users = { client: await login(rpc, 'client'), root: await login(rpc, 'root') };
  for (const member of cluster.members) member.useMetadata(users.root);
  return users;
}

async function login(rpc: EtcdRpc, name: string): Promise<Readonly<Record<string, string>>> {
  const token = await eventually(`${name} gets a token`, async () => {
    const outcome = await rpc.outcome('Auth.Authenticate', { name, password: PASSWORD });
    return outcome.ok ? outcome.value.token : null;
  });
  return { token };
}
