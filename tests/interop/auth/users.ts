/** Users and roles at a server: made, changed, and read back to be compared. */
import assert from 'node:assert/strict';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import type { MethodName, Responses } from '../../support/messages.ts';

/** What a server says of its users and roles. */
export interface Users {
  readonly enabled: boolean;
  readonly authRevision: bigint;
  readonly users: Readonly<Record<string, readonly string[]>>;
  readonly roles: Readonly<Record<string, readonly string[]>>;
}

/** `root` with the password `pw`; `u` with `secret`, who may do everything with `u/…`. */
export async function makeUsers(rpc: EtcdRpc): Promise<void> {
  await rpc.call('Auth.UserAdd', { name: 'root', password: 'pw' });
  await rpc.call('Auth.UserGrantRole', { user: 'root', role: 'root' });
  await rpc.call('Auth.RoleAdd', { name: 'r' });
  const perm = { permType: 'READWRITE', key: 'u/', range_end: 'u0' };
  await rpc.call('Auth.RoleGrantPermission', { name: 'r', perm });
  await rpc.call('Auth.UserAdd', { name: 'u', password: 'secret' });
  await rpc.call('Auth.UserGrantRole', { user: 'u', role: 'r' });
  await rpc.call('Auth.UserAdd', { name: 'cert', options: { no_password: true } });
}

/** A client of this user at one server, which logs in again when it has to. */
export class UserRpc {
  readonly address: string;
  readonly #name: string;
  #password: string;
  #rpc: EtcdRpc;

  constructor(address: string, name: string, password: string) {
    this.address = address;
    this.#name = name;
    this.#password = password;
    this.#rpc = new EtcdRpc(address);
  }

  set password(password: string) {
    this.#password = password;
  }

  close(): void {
    this.#rpc.close();
  }

  async login(): Promise<string> {
    const anyone = new EtcdRpc(this.address);
    try {
      const request = { name: this.#name, password: this.#password };
      const { token } = await anyone.call('Auth.Authenticate', request);
      this.useToken(token);
      return token;
    } finally {
      anyone.close();
    }
  }

  useToken(token: string): void {
    this.#rpc.close();
    this.#rpc = new EtcdRpc(this.address, { token });
  }

  call<M extends MethodName>(method: M, request: object): Promise<Responses[M]> {
    return this.#rpc.call(method, request);
  }

  /** A call whose failure is told by its text, `ok` otherwise. */
  async try<M extends MethodName>(method: M, request: object): Promise<string> {
    const outcome = await this.#rpc.outcome(method, request);
    return outcome.ok ? 'ok' : outcome.details;
  }
}

/** Everything, as an administrator sees it. */
export async function readUsers(rpc: Pick<UserRpc, 'call'>): Promise<Users> {
  const { enabled, authRevision } = await rpc.call('Auth.AuthStatus', {});
  const users: Record<string, readonly string[]> = {};
  for (const name of (await rpc.call('Auth.UserList', {})).users) {
    users[name] = (await rpc.call('Auth.UserGet', { name })).roles;
  }
  const roles: Record<string, readonly string[]> = {};
  for (const role of (await rpc.call('Auth.RoleList', {})).roles) {
    const { perm } = await rpc.call('Auth.RoleGet', { role });
    roles[role] = perm.map(
      ({ permType, key, range_end: end }) => `${permType} ${key} ${end.toString('hex')}`,
    );
  }
  return { enabled, authRevision, users, roles };
}

/** What the user may and may not do, and that a stranger may do nothing. */
export async function checkVerdicts(address: string): Promise<void> {
  const stranger = new EtcdRpc(address);
  const user = new UserRpc(address, 'u', 'secret');
  try {
    const outcome = await stranger.outcome('KV.Range', { key: 'u/1' });
    assert.deepEqual(outcome, { ok: false, code: 3, details: 'etcdserver: user name is empty' });
    await user.login();
    const verdicts = [
      await user.try('KV.Put', { key: 'u/1', value: '1', prev_kv: true }),
      await user.try('KV.Range', { key: 'u/', range_end: 'u0' }),
      await user.try('KV.Range', { key: 'u/', range_end: 'u1' }),
      await user.try('KV.Put', { key: 'v', value: '1' }),
      await user.try('KV.DeleteRange', { key: 'u/1', range_end: '\0' }),
      await user.try('KV.Txn', {
        success: [{ request_txn: { failure: [{ request_put: { key: 'v', value: '1' } }] } }],
      }),
    ];
    const denied = 'etcdserver: permission denied';
    assert.deepEqual(verdicts, ['ok', 'ok', denied, denied, denied, denied]);
  } finally {
    stranger.close();
    user.close();
  }
}
