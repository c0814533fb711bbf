import assert from 'node:assert/strict';
import { eventually } from '../../support/run.ts';
import { type Scenario, testScenarios } from './session.ts';

const scenarios: Scenario[] = [
  {
    name: 'grant, timetolive, list, revoke',
    play: async (session) => {
      const lease = await session.grant('lease');
      const other = await session.grant('other', 1000);
      await session.ctl('lease', 'list');
      for (const key of ['b', 'a', 'c']) await session.quiet({}, 'put', key, '1', `--lease=${lease}`);
      for (const format of ['simple', 'json', 'fields']) {
        const { stdout } = await session.quiet({}, 'lease', 'grant', '700', '-w', format);
        session.note(
          stdout.replace(/lease [0-9a-f]{16}/, 'lease <new>').replace(/("[iI][dD]"\s*: ?)\d+/, '$1<new>'),
        );
      }
      const ttl = await session.quiet({}, 'lease', 'timetolive', lease, '--keys');
      // The order of a lease's keys is not defined.
      session.note(ttl.stdout.replace(/\[(.*)\]/, (_, keys: string) => keys.split(' ').sort().join(' ')));
      await session.ctl('lease', 'timetolive', other);
      await session.ctl('lease', 'timetolive', other, '--keys', '-w', 'fields');
      await session.ctl('lease', 'timetolive', '1234');
      await session.ctl('lease', 'timetolive', '1234', '-w', 'json');
      await session.ctl('lease', 'timetolive', 'nonsense');
      await session.ctl('lease', 'revoke', lease);
      await session.ctl('lease', 'revoke', lease);
      await session.ctl('lease', 'revoke', other, '-w', 'json');
      await session.ctl('get', '', '--prefix', '-w', 'json');
      await session.ctl('lease', 'list', '-w', 'table');
      await session.ctl('lease', 'grant', '99999999999');
      await session.ctl('lease', 'grant', '9000000001');
      await session.ctl('lease', 'grant', 'nonsense');
      await session.ctl('lease', 'grant');
      for (const ttlS of ['0', '-1', '1']) {
        const { stdout } = await session.quiet({}, 'lease', 'grant', '--', ttlS);
        session.note(stdout.replace(/lease [0-9a-f]{16}/, 'lease <new>'));
      }
    },
  },
  {
    name: 'keep-alive',
    play: async (session) => {
      const lease = await session.grant('lease', 3);
      await session.ctl('lease', 'keep-alive', '--once', lease);
      await session.ctl('lease', 'keep-alive', '--once', lease, '-w', 'json');
      await session.ctl('lease', 'keep-alive', '--once', lease, '-w', 'fields');
      await session.ctl('lease', 'keep-alive', '--once', '1234');
      const keepAlive = session.start('lease', 'keep-alive', lease);
      // Kept for longer than it would live.
      await keepAlive.waitForStdout((stdout) => stdout.split('keepalived').length > 5);
      session.note(keepAlive.stdout.split('\n')[0]!);
      await session.ctl('lease', 'revoke', lease);
      const { stdout, code } = await keepAlive.ended;
      session.note(`${stdout.trimEnd().split('\n').at(-1)} exit ${code}`);
    },
  },
  {
    name: 'expiry deletes the keys and tells the watchers',
    play: async (session) => {
      const lease = await session.grant('lease', 1);
      await session.quiet({}, 'put', 'mortal', 'flesh', `--lease=${lease}`);
      await session.quiet({}, 'put', 'moved', 'x', `--lease=${lease}`);
      await session.quiet({}, 'put', 'moved', 'y');
      const watch = session.start('watch', 'mortal', '--prev-kv', '--rev=2');
      await watch.waitForStdout((stdout) => stdout.includes('DELETE\nmortal\nflesh\nmortal\n\n'));
      watch.kill('SIGKILL');
      session.note((await watch.ended).stdout);
      await eventually('the lease is gone', async () => {
        const { stdout } = await session.quiet({}, 'lease', 'timetolive', lease);
        return stdout.includes('already expired');
      });
      await session.ctl('lease', 'timetolive', lease);
      await session.ctl('lease', 'list');
      const { stdout } = await session.ctl('get', '', '--prefix', '-w', 'json');
      assert(stdout.includes(Buffer.from('moved').toString('base64')));
    },
  },
];

testScenarios('lease', scenarios);
