/** Calls to one member of a quiet cluster in somebody's name. */

import { strict as assert } from 'node:assert';
import type { Codec } from '@etcd/api';
import { encode } from '@etcd/api';
import type { Permission } from '@etcd/api/authpb';
import {
  AuthEnableRequest,
  AuthEnableRequestCodec,
  AuthenticateRequest,
  AuthenticateRequestCodec,
  AuthenticateResponseCodec,
  AuthRoleAddRequest,
  AuthRoleAddRequestCodec,
  AuthRoleGrantPermissionRequest,
  AuthRoleGrantPermissionRequestCodec,
  AuthUserAddRequest,
  AuthUserAddRequestCodec,
  AuthUserGrantRoleRequest,
  AuthUserGrantRoleRequestCodec,
} from '@etcd/api/etcdserverpb';
import { GrpcCode } from '@etcd/base';
import { type ClientCall, GrpcChannel } from '@etcd/transport';
import type { Machine } from './machine.ts';
import { type QuietCluster, START_LIMIT_MS } from './quiet-cluster.ts';

export interface Answered {
  readonly code: number;
  readonly message: string;
  readonly messages: readonly Uint8Array[];
}

const AUTH = '/etcdserverpb.Auth/';

export class AuthSession {
  readonly cluster: QuietCluster;
  readonly machine: Machine;
  token: string | null;

  constructor(cluster: QuietCluster, machine: Machine, token: string | null = null) {
    this.cluster = cluster;
    this.machine = machine;
    this.token = token;
  }

  /** The same user at another member. */
  at(machine: Machine): AuthSession {
    return new AuthSession(this.cluster, machine, this.token);
  }

  /** A session of this user, which has logged in here. */
  async login(name: string, password: string): Promise<AuthSession> {
    const request = new AuthenticateRequest({ name, password });
    const { code, message, messages } = await this.ask(
      `${AUTH}Authenticate`,
      encode(AuthenticateRequestCodec, request),
    );
    assert.equal(code, GrpcCode.OK, message);
    const { token } = AuthenticateResponseCodec.decode(messages[0]!);
    return new AuthSession(this.cluster, this.machine, token);
  }

  /** All of a call with one request. */
  async ask(path: string, request: Uint8Array): Promise<Answered> {
    const answered = this.begin(path, request);
    await this.cluster.until(`${path} ends`, START_LIMIT_MS, () => answered.isOver);
    return answered;
  }

  async done<T>(path: string, codec: Codec<T>, request: T): Promise<Answered> {
    const answered = await this.ask(path, encode(codec, request));
    assert.equal(answered.code, GrpcCode.OK, `${path}: ${answered.message}`);
    return answered;
  }

  begin(path: string, request: Uint8Array): Pending {
    const pending = this.open(path);
    pending.send(request);
    pending.call.halfClose();
    return pending;
  }

  /** A call whose client goes on sending. */
  open(path: string): Pending {
    const { clock } = this.cluster.world;
    const channel = new GrpcChannel(this.machine.run!.connect()!, { clock, authority: this.machine.name });
    const pending = new Pending(channel);
    pending.start(path, this.token);
    return pending;
  }

  // --- administration

  async addUser(name: string, password: string): Promise<void> {
    const request = new AuthUserAddRequest({ name, password });
    await this.done(`${AUTH}UserAdd`, AuthUserAddRequestCodec, request);
  }

  async addRole(name: string, ...permissions: Permission[]): Promise<void> {
    await this.done(`${AUTH}RoleAdd`, AuthRoleAddRequestCodec, new AuthRoleAddRequest({ name }));
    for (const perm of permissions) {
      const request = new AuthRoleGrantPermissionRequest({ name, perm });
      await this.done(`${AUTH}RoleGrantPermission`, AuthRoleGrantPermissionRequestCodec, request);
    }
  }

  async grantRole(user: string, role: string): Promise<void> {
    const request = new AuthUserGrantRoleRequest({ user, role });
    await this.done(`${AUTH}UserGrantRole`, AuthUserGrantRoleRequestCodec, request);
  }

  /** Makes `root`, with the password `pw`, and enables authentication. Gives root's session. */
  async enable(): Promise<AuthSession> {
    await this.addUser('root', 'pw');
    await this.grantRole('root', 'root');
    await this.done(`${AUTH}AuthEnable`, AuthEnableRequestCodec, new AuthEnableRequest());
    return await this.login('root', 'pw');
  }
}

class Pending implements Answered {
  readonly messages: Uint8Array[] = [];
  readonly #channel: GrpcChannel;
  call!: ClientCall;
  code = -1;
  message = '';

  constructor(channel: GrpcChannel) {
    this.#channel = channel;
  }

  get isOver(): boolean {
    return this.code >= 0;
  }

  start(path: string, token: string | null): void {
    const metadata = token === null ? [] : [['token', token] as const];
    this.call = this.#channel.call(
      path,
      {
        onMessage: (_call, bytes, start, end) => void this.messages.push(bytes.slice(start, end)),
        onEnd: (_call, code, message) => {
          this.code = code;
          this.message = message;
          this.#channel.close();
        },
      },
      { metadata },
    );
  }

  send(request: Uint8Array): void {
    this.call.write(request, 0, request.length);
  }
}
