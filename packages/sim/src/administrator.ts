/**
 * Whoever looks after users and roles: makes a root and an ordinary user, then switches authentication on and off and changes what
 * the user may do, while everybody works on. What comes of each step does not matter to it; the model knows.
 */
import { encode } from '@etcd/api';
import { Permission, PermissionType } from '@etcd/api/authpb';
import {
  AuthDisableRequestCodec,
  AuthEnableRequestCodec,
  AuthRoleAddRequest,
  AuthRoleAddRequestCodec,
  AuthRoleDeleteRequest,
  AuthRoleDeleteRequestCodec,
  AuthRoleGrantPermissionRequest,
  AuthRoleGrantPermissionRequestCodec,
  AuthRoleRevokePermissionRequest,
  AuthRoleRevokePermissionRequestCodec,
  AuthUserAddRequest,
  AuthUserAddRequestCodec,
  AuthUserChangePasswordRequest,
  AuthUserChangePasswordRequestCodec,
  AuthUserDeleteRequest,
  AuthUserDeleteRequestCodec,
  AuthUserGrantRoleRequest,
  AuthUserGrantRoleRequestCodec,
  AuthUserRevokeRoleRequest,
  AuthUserRevokeRoleRequestCodec,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import { GrpcCode } from '@etcd/base';
import { bytesOf } from './client.ts';
import { Pacer } from './pacer.ts';
import { ORDINARY_USER, ROOT, Session } from './session.ts';
import type { World } from './world.ts';

interface Step {
  readonly method: string;
  readonly request: Uint8Array;
}

const TIMEOUT_MS = 8000;
const MAX_PAUSE_MS = 4000;
/** Keys that the user always may read and write, so that it has something to do. */
const OWN = { key: bytesOf('k00'), rangeEnd: bytesOf('k02') };

export class Administrator {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  /** What has to be there first, in order; a step is done again until it is. */
  readonly #foundation: Step[] = [
    step('UserAdd', AuthUserAddRequestCodec, new AuthUserAddRequest(ROOT)),
    step(
      'UserGrantRole',
      AuthUserGrantRoleRequestCodec,
      new AuthUserGrantRoleRequest({ user: 'root', role: 'root' }),
    ),
    step('RoleAdd', AuthRoleAddRequestCodec, new AuthRoleAddRequest({ name: 'own' })),
    grantOf('own', PermissionType.READWRITE, OWN.key, OWN.rangeEnd),
    step('RoleAdd', AuthRoleAddRequestCodec, new AuthRoleAddRequest({ name: 'more' })),
    step('UserAdd', AuthUserAddRequestCodec, new AuthUserAddRequest(ORDINARY_USER)),
    step(
      'UserGrantRole',
      AuthUserGrantRoleRequestCodec,
      new AuthUserGrantRoleRequest({ user: ORDINARY_USER.name, role: 'own' }),
    ),
  ];
  #isAsking = false;
  changeCount = 0;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.pause(pauseMs, then),
      random,
      maxPauseMs: MAX_PAUSE_MS,
      step: () => this.#ask(),
    });
  }

  get isIdle(): boolean {
    return !this.#isAsking;
  }

  start(): void {
    this.#pacer.start();
  }

  stop(): void {
    this.#pacer.stop();
  }

  #ask(): void {
    const [first] = this.#foundation;
    const { method, request } = first ?? this.#draw();
    this.#isAsking = true;
    this.#session.unary(
      `/etcdserverpb.Auth/${method}`,
      request,
      { timeoutMs: TIMEOUT_MS },
      (code, message) => {
        this.#isAsking = false;
        this.#world.note(`the administrator is told ${method}: ${code} ${message}`);
        const isThere = code === GrpcCode.OK || message.endsWith('already exists');
        if (isThere) this.changeCount++;
        if (isThere && first !== undefined) this.#foundation.splice(0, 1);
        if (code !== GrpcCode.OK && this.#random.chance(0.3)) this.#session.leave();
        this.#pacer.next();
      },
    );
  }

  #draw(): Step {
    const random = this.#random;
    const user = ORDINARY_USER.name;
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
        return step('AuthEnable', AuthEnableRequestCodec, AuthEnableRequestCodec.create());
      case 3:
        return step('AuthDisable', AuthDisableRequestCodec, AuthDisableRequestCodec.create());
      case 4:
        return step(
          'UserGrantRole',
          AuthUserGrantRoleRequestCodec,
          new AuthUserGrantRoleRequest({ user, role: 'more' }),
        );
      case 5:
        return step(
          'UserRevokeRole',
          AuthUserRevokeRoleRequestCodec,
          new AuthUserRevokeRoleRequest({ name: user, role: 'more' }),
        );
      case 6:
        return step(
          'UserChangePassword',
          AuthUserChangePasswordRequestCodec,
          new AuthUserChangePasswordRequest(ORDINARY_USER),
        );
      case 7:
        return step(
          'UserAdd',
          AuthUserAddRequestCodec,
          new AuthUserAddRequest({ ...ORDINARY_USER, name: 'guest' }),
        );
      case 8:
        return step('UserDelete', AuthUserDeleteRequestCodec, new AuthUserDeleteRequest({ name: 'guest' }));
      case 9:
        return random.chance(0.5)
          ? step('RoleAdd', AuthRoleAddRequestCodec, new AuthRoleAddRequest({ name: 'more' }))
          : step('RoleDelete', AuthRoleDeleteRequestCodec, new AuthRoleDeleteRequest({ role: 'more' }));
      case 10:
        return step(
          'RoleRevokePermission',
          AuthRoleRevokePermissionRequestCodec,
          new AuthRoleRevokePermissionRequest({ role: 'more', ...this.#range() }),
        );
      default: {
        const { key, rangeEnd } = this.#range();
        return grantOf('more', random.below(3), key, rangeEnd);
      }
    }
  }

  /** Few enough that what is revoked was mostly granted. */
  #range(): { readonly key: Uint8Array; readonly rangeEnd: Uint8Array } {
    const key = bytesOf(`k0${this.#random.below(4)}`);
    return { key, rangeEnd: bytesOf(this.#random.pick(['', 'k04', '\0'])) };
  }
}

function step<T>(method: string, codec: Parameters<typeof encode<T>>[0], request: T): Step {
  return { method, request: encode(codec, request) };
}

function grantOf(name: string, permType: number, key: Uint8Array, rangeEnd: Uint8Array): Step {
  const perm = new Permission({ permType, key, rangeEnd });
  const request = new AuthRoleGrantPermissionRequest({ name, perm });
  return step('RoleGrantPermission', AuthRoleGrantPermissionRequestCodec, request);
}
