/** Every command of etcdctl about users, roles and authentication, and what permissions make of the others. */
import { peer } from '../../support/programs.ts';
import { type Scenario, type Session, testScenarios } from '../etcdctl/session.ts';

const ROOT = '--user=root:pw';

/** Users `root`, and `u` who may read `a…` and write `b`. */
async function populate(session: Session): Promise<void> {
  await session.quiet({}, 'user', 'add', 'root:pw');
  await session.quiet({}, 'user', 'grant-role', 'root', 'root');
  await session.quiet({}, 'role', 'add', 'reader');
  await session.quiet({}, 'role', 'grant-permission', 'reader', 'read', 'a', '--prefix');
  await session.quiet({}, 'role', 'add', 'writer');
  await session.quiet({}, 'role', 'grant-permission', 'writer', 'write', 'b');
  await session.quiet({}, 'user', 'add', 'u:secret');
  await session.quiet({}, 'user', 'grant-role', 'u', 'reader');
  await session.quiet({}, 'user', 'grant-role', 'u', 'writer');
  await session.ctl('auth', 'enable');
}

const scenarios: Scenario[] = [
  {
    name: 'users',
    play: async (session) => {
      for (const format of ['simple', 'json', 'fields']) await session.ctl('user', 'list', '-w', format);
      await session.ctl('user', 'add', 'a:pw');
      await session.ctl('user', 'add', 'a:pw');
      await session.ctl('user', 'add', ':pw');
      await session.ctl('user', 'add', 'b', '--no-password');
      await session.ctl('user', 'add', 'c', '--new-user-password=pw', '-w', 'json');
      await session.ctlWith({ stdin: 'pw\n' }, 'user', 'add', 'd', '--interactive=false');
      await session.ctl('user', 'list');
      await session.ctl('user', 'list', '-w', 'json');
      await session.ctlWith({ stdin: 'other\n' }, 'user', 'passwd', 'a', '--interactive=false');
      await session.ctlWith({ stdin: 'other\n' }, 'user', 'passwd', 'x', '--interactive=false');
      await session.ctl('user', 'get', 'a');
      await session.ctl('user', 'get', 'x');
      await session.ctl('user', 'grant-role', 'a', 'r');
      await session.ctl('role', 'add', 'r');
      await session.ctl('user', 'grant-role', 'a', 'r');
      await session.ctl('user', 'grant-role', 'a', 'r');
      await session.ctl('user', 'grant-role', 'x', 'r');
      await session.ctl('user', 'grant-role', 'a', 'root');
      await session.ctl('user', 'get', 'a');
      await session.ctl('user', 'get', 'a', '-w', 'json');
      await session.ctl('role', 'grant-permission', 'r', 'readwrite', 'k', 'm');
      await session.ctl('user', 'get', 'a', '--detail');
      await session.ctl('user', 'revoke-role', 'a', 'r', '-w', 'fields');
      await session.ctl('user', 'revoke-role', 'a', 'r');
      await session.ctl('user', 'revoke-role', 'x', 'r');
      await session.ctl('user', 'delete', 'a');
      await session.ctl('user', 'delete', 'a');
      await session.ctl('user', 'list');
    },
  },
  {
    name: 'roles',
    play: async (session) => {
      await session.ctl('role', 'list', '-w', 'json');
      for (const name of ['r', 'r', 'root', 's']) await session.ctl('role', 'add', name);
      await session.ctl('role', 'add', '');
      await session.ctl('role', 'list');
      await session.ctl('role', 'get', 'r');
      await session.ctl('role', 'get', 'x');
      await session.ctl('role', 'get', 'root');
      await session.ctl('role', 'get', 'root', '-w', 'json');
      const grant = (...args: string[]): Promise<unknown> => session.ctl('role', 'grant-permission', ...args);
      await grant('r', 'read', 'k');
      await grant('r', 'write', 'k', 'm');
      await grant('r', 'readwrite', 'p', '--prefix');
      await grant('r', 'readwrite', 'z', '--from-key');
      await grant('r', 'write', 'k');
      await grant('r', 'read', 'b', 'a');
      await grant('r', 'read', '', '--prefix');
      await grant('r', 'read', '');
      await grant('r', 'nonsense', 'k');
      await grant('x', 'read', 'k');
      for (const format of ['simple', 'json', 'fields']) await session.ctl('role', 'get', 'r', '-w', format);
      const revoke = (...args: string[]): Promise<unknown> =>
        session.ctl('role', 'revoke-permission', ...args);
      await revoke('r', 'k', 'm');
      await revoke('r', 'k', 'm');
      await revoke('r', 'p', '--prefix');
      await revoke('r', 'z', '--from-key');
      await revoke('x', 'k');
      await session.ctl('role', 'get', 'r');
      await session.ctl('role', 'delete', 's', '-w', 'json');
      await session.ctl('role', 'delete', 's');
      await session.ctl('role', 'list');
    },
  },
  {
    name: 'enable, status, disable',
    play: async (session) => {
      await session.ctl('auth', 'status');
      await session.ctl('auth', 'status', '-w', 'json');
      await session.ctl('auth', 'disable');
      await session.ctl('auth', 'enable');
      await session.ctl('user', 'add', 'root:pw');
      await session.ctl('user', 'grant-role', 'root', 'root');
      await session.ctl('auth', 'enable', '-w', 'json');
      await session.ctl('auth', 'enable');
      await session.ctl(ROOT, 'auth', 'enable');
      await session.ctl(ROOT, 'auth', 'status', '-w', 'fields');
      await session.ctl('put', 'k', 'v');
      await session.ctl('get', 'k');
      await session.ctl('--user=root:wrong', 'get', 'k');
      await session.ctl('--user=nobody:pw', 'get', 'k');
      await session.ctl('--user=root', '--password=pw', 'put', 'k', 'v');
      await session.ctl(ROOT, 'user', 'delete', 'root');
      await session.ctl(ROOT, 'user', 'revoke-role', 'root', 'root');
      await session.ctl(ROOT, 'role', 'delete', 'root');
      await session.ctl('auth', 'disable');
      await session.ctl(ROOT, 'auth', 'disable');
      await session.ctl('get', 'k');
      await session.ctl('auth', 'status');
      await session.ctl('role', 'delete', 'root');
      await session.ctl('user', 'delete', 'root');
    },
  },
  {
    name: 'keys of a user',
    play: async (session) => {
      await populate(session);
      const u = (...args: string[]): Promise<unknown> => session.ctl('--user=u:secret', ...args);
      await session.ctl(ROOT, 'put', 'a1', '1');
      await u('get', 'a1');
      await u('get', 'a', '--prefix', '--keys-only');
      await u('get', 'a', 'c');
      await u('get', '', '--prefix');
      await u('get', 'b');
      await u('put', 'b', '1');
      await u('put', 'b', '2', '--prev-kv');
      await u('put', 'a1', '2');
      await u('del', 'b', '--prev-kv');
      await u('del', 'b');
      await u('del', 'a', '--prefix');
      await session.ctlWith(
        { stdin: 'value("a1") = "1"\n\nput b 3\nget a1\n\nget a2\n\n' },
        '--user=u:secret',
        'txn',
      );
      await session.ctlWith({ stdin: 'value("b") = "3"\n\nget a1\n\n\n' }, '--user=u:secret', 'txn');
      await session.ctlWith({ stdin: 'mod("a1") > "0"\n\nget a1\n\nput a1 x\n\n' }, '--user=u:secret', 'txn');
      await u('compaction', '1');
      await u('watch', 'b', '--rev=1');
      await session.ctl('watch', 'a', '--rev=1');
    },
  },
  {
    name: 'leases of a user',
    play: async (session) => {
      await populate(session);
      const u = (...args: string[]): Promise<unknown> => session.ctl('--user=u:secret', ...args);
      const grant = async (name: string): Promise<string> => {
        const { stdout } = await session.quiet({}, ROOT, 'lease', 'grant', '600');
        const id = /lease ([0-9a-f]+) granted/.exec(stdout)![1]!;
        session.nameId(name, BigInt(`0x${id}`));
        return id;
      };
      const [own, foreign, mixed] = [await grant('own'), await grant('foreign'), await grant('mixed')];
      await session.quiet({}, ROOT, 'put', 'b', '1', `--lease=${own}`);
      await session.quiet({}, ROOT, 'put', 'c', '1', `--lease=${foreign}`);
      await session.quiet({}, ROOT, 'put', 'a1', '1', `--lease=${mixed}`);
      await u('put', 'b', '2', `--lease=${own}`);
      await u('put', 'b', '2', `--lease=${foreign}`);
      await u('lease', 'timetolive', own, '--keys');
      await u('lease', 'timetolive', mixed, '--keys');
      await session.ctl('lease', 'timetolive', mixed);
      await u('lease', 'keep-alive', '--once', own);
      await u('lease', 'keep-alive', '--once', foreign);
      await u('lease', 'list');
      await session.ctl('lease', 'list');
      await session.ctl('lease', 'grant', '10');
      await u('lease', 'revoke', foreign);
      await u('lease', 'revoke', own);
      await session.ctl('lease', 'revoke', mixed);
      await session.ctl(ROOT, 'lease', 'revoke', foreign);
    },
  },
  {
    name: 'what only an administrator may do',
    play: async (session) => {
      await populate(session);
      for (const who of [[], ['--user=u:secret'], [ROOT]]) {
        const ctl = (...args: string[]): Promise<unknown> => session.ctl(...who, ...args);
        await ctl('alarm', 'list');
        await ctl('alarm', 'disarm');
        await ctl('move-leader', '1');
        await ctl('member', 'remove', '1234');
        await ctl('user', 'list');
        await ctl('user', 'get', 'u');
        await ctl('user', 'get', 'root');
        await ctl('role', 'list');
        await ctl('role', 'get', 'reader');
        await ctl('role', 'get', 'root');
        await ctl('user', 'add', 'new', '--no-password');
        await ctl('user', 'delete', 'new');
        await ctl('role', 'add', 'new');
        await ctl('role', 'delete', 'new');
        await ctl('role', 'grant-permission', 'reader', 'read', 'c');
        await ctl('role', 'revoke-permission', 'reader', 'c');
        await ctl('auth', 'status');
      }
    },
  },
];

testScenarios('auth', scenarios, { releases: ['3.5', '3.7'], reference: peer('3.7', 'etcd') });
