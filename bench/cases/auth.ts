/** What users and roles cost: a Put that is judged, and a login. */
import { Permission, PermissionType } from '@etcd/api/authpb';
import {
  AuthEnableRequest,
  AuthenticateRequest,
  AuthRoleAddRequest,
  AuthRoleGrantPermissionRequest,
  AuthUserAddRequest,
  AuthUserGrantRoleRequest,
  decodeAuthenticateResponse,
  encodeAuthEnableRequest,
  encodeAuthenticateRequest,
  encodeAuthRoleAddRequest,
  encodeAuthRoleGrantPermissionRequest,
  encodeAuthUserAddRequest,
  encodeAuthUserGrantRoleRequest,
} from '@etcd/api/etcdserverpb';
import type { GrpcChannel } from '@etcd/transport';
import { type BenchCase, GENERATOR_ROW, generatorShare, perSecond, SingleServer } from '../case.ts';
import { callOnce, openChannel } from '../load/connect.ts';
import type { Work } from '../load/job.ts';
import { AUTHENTICATE } from '../load/request-source.ts';

const PUTS: Work = { kind: 'put', space: { prefix: '/bench/', count: 100_000 }, valueBytes: 256 };
const HUNDRED_BY_TEN = { connections: 100, inFlight: 10 };
const QUICK_SHARE = 50;
const SETUP_TIMEOUT_MS = 10_000;
const USER = 'user';
const PASSWORD = 'password';
/** Ranges that the user is granted; one of them holds the keys. */
const GRANTS = 20;

/** Puts of an ordinary user, and the same without authentication, by turns on two servers. */
export const authPut: BenchCase = {
  name: 'auth-put',
  about: 'Put with authentication on, by a user with twenty permissions, 100 connections × 10 in flight',
  rows: [
    { figure: 'cpu', label: 'CPU per put', unit: 'us', goal: { ratioAtMost: 1 / 5 } },
    { figure: 'overhead', label: 'CPU, with authentication to without', unit: '×', goal: { atMost: 1.1 } },
    { figure: 'rate', label: 'puts per second', unit: 'per s' },
    GENERATOR_ROW,
  ],
  open: async ({ program, isQuick }) => {
    const plain = await SingleServer.start(program);
    const subject = await SingleServer.start(program);
    const token = await enableAuthentication(subject);
    const requests = isQuick ? 100_000 / QUICK_SHARE : 100_000;
    const { connections, inFlight } = HUNDRED_BY_TEN;
    const job = { connections, work: PUTS, pace: { inFlight, requests } };
    return {
      round: async () => {
        const without = await plain.run(job);
        const result = await subject.run({ ...job, token });
        const cpu = result.serverCpuUs / result.operations;
        return {
          cpu,
          overhead: cpu / (without.serverCpuUs / without.operations),
          rate: perSecond(result.operations, result.elapsedMs),
          generator: generatorShare(result),
        };
      },
      close: async () => {
        await plain.close();
        await subject.close();
      },
    };
  },
};

/** The second and every later login of a user. */
export const authLogin: BenchCase = {
  name: 'auth-login',
  about: 'logins of a user that has logged in before, 10 connections × 5 in flight',
  rows: [
    { figure: 'rate', label: 'logins per second', unit: 'per s', goal: { atLeast: 1000 } },
    { figure: 'p99', label: 'p99 latency', unit: 'ms' },
  ],
  open: async ({ program, isQuick, isOurs }) => {
    const subject = await SingleServer.start(program);
    await enableAuthentication(subject);
    // A tenth of a second each where every password is hashed.
    const requests = isQuick ? 50 : isOurs ? 20_000 : 200;
    const work: Work = { kind: 'login', user: USER, password: PASSWORD };
    return {
      round: async () => {
        const result = await subject.run({ connections: 10, work, pace: { inFlight: 5, requests } });
        return { rate: perSecond(result.operations, result.elapsedMs), p99: result.latency.p99 };
      },
      close: () => subject.close(),
    };
  },
};

/** Makes a root, and a user that may write `/bench/…`; gives the user's token. */
async function enableAuthentication({ server }: SingleServer): Promise<string> {
  const channel = await openChannel(server.target);
  try {
    await addUser(channel, 'root', 'root');
    await ask(channel, 'RoleAdd', encodeAuthRoleAddRequest(new AuthRoleAddRequest({ name: 'writer' })));
    for (let i = 0; i < GRANTS; i++) {
      const prefix = i === 0 ? '/bench/' : `/other/${i}/`;
      const key = Buffer.from(prefix);
      const rangeEnd = Buffer.from(prefix.replace(/\/$/, '0'));
      const perm = new Permission({ permType: PermissionType.READWRITE, key, rangeEnd });
      const request = new AuthRoleGrantPermissionRequest({ name: 'writer', perm });
      await ask(channel, 'RoleGrantPermission', encodeAuthRoleGrantPermissionRequest(request));
    }
    await addUser(channel, USER, 'writer');
    await ask(channel, 'AuthEnable', encodeAuthEnableRequest(new AuthEnableRequest()));
    const login = encodeAuthenticateRequest(new AuthenticateRequest({ name: USER, password: PASSWORD }));
    const answer = await callOnce(channel, AUTHENTICATE, login, SETUP_TIMEOUT_MS);
    return decodeAuthenticateResponse(answer).token;
  } finally {
    channel.close();
  }
}

async function addUser(channel: GrpcChannel, name: string, role: string): Promise<void> {
  const user = new AuthUserAddRequest({ name, password: PASSWORD });
  await ask(channel, 'UserAdd', encodeAuthUserAddRequest(user));
  const grant = new AuthUserGrantRoleRequest({ user: name, role });
  await ask(channel, 'UserGrantRole', encodeAuthUserGrantRoleRequest(grant));
}

function ask(channel: GrpcChannel, method: string, request: Uint8Array): Promise<Uint8Array> {
  return callOnce(channel, `/etcdserverpb.Auth/${method}`, request, SETUP_TIMEOUT_MS);
}
