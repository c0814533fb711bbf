import assert from 'node:assert/strict';
import { type Scenario, type Session, testScenarios } from './session.ts';

/** Sizes and raft indexes are each server's own affair. */
function withoutFigures(text: string): string {
  return text
    .replace(/\d+(\.\d+)? [kM]B/g, '<size>')
    .replace(/"(dbSize|dbSizeInUse|raftIndex|raftAppliedIndex|raftTerm)":\d+/g, '"$1":<n>')
    .replace(/"(DBSize|DBSizeInUse|RaftIndex|RaftAppliedIndex|RaftTerm)" : \d+/g, '"$1" : <n>');
}

async function status(session: Session, ...args: string[]): Promise<void> {
  const ended = await session.quiet({}, 'endpoint', 'status', ...args);
  const stdout = withoutFigures(ended.stdout)
    .replace(/true, false, \d+, \d+, \d+,/, 'true, false, <n>, <n>, <n>,')
    .replace(/true\W+false\W+\d+\W+\d+\W+\d+/, 'true | false | <n> | <n> | <n>');
  session.record(`endpoint status ${args.join(' ')}`, { ...ended, stdout });
}

const scenarios: Scenario[] = [
  {
    name: 'compaction',
    play: async (session) => {
      for (let i = 0; i < 20; i++) await session.quiet({}, 'put', `k${i % 3}`, `${i}`);
      await session.ctl('compaction', '5');
      await session.ctl('compaction', '5');
      await session.ctl('compaction', '4');
      await session.ctl('compaction', '1000');
      await session.ctl('compaction', '--physical', '10');
      await session.ctl('compaction', '--', '-1');
      await session.ctl('compaction', '0');
      await session.ctl('compaction', 'nonsense');
      await session.ctl('compaction');
      await session.ctl('get', 'k0', '--rev=9');
      await session.ctl('get', 'k0', '--rev=10');
      await session.ctl('compaction', '21');
      await session.ctl('get', 'k', '--prefix', '-w', 'json');
    },
  },
  {
    name: 'status, health, hash, members',
    play: async (session) => {
      await session.quiet({}, 'put', 'a', '1');
      for (const format of ['simple', 'json', 'fields', 'table']) await status(session, '-w', format);
      await status(session, '--cluster', '-w', 'simple');
      await session.ctl('endpoint', 'health');
      await session.ctl('endpoint', 'health', '--cluster');
      await session.ctl('endpoint', 'health', '-w', 'json');
      for (const format of ['simple', 'json', 'fields', 'table']) {
        await session.ctl('endpoint', 'hashkv', '-w', format);
        await session.ctl('member', 'list', '-w', format);
      }
      await session.ctl('endpoint', 'hashkv', '--rev=1');
      await session.ctl('endpoint', 'hashkv', '--rev=100');
      await session.ctl('endpoint', 'hashkv', '--cluster');
      await session.protobuf('MemberListResponse', 'member', 'list');
      await session.quiet({}, 'compaction', '2');
      await session.ctl('endpoint', 'hashkv', '--rev=1');
      await session.ctl('endpoint', 'hashkv', '--rev=2');
    },
  },
  {
    name: 'moving the leader, changing members',
    play: async (session) => {
      await session.ctl('move-leader', '1234');
      await session.ctl('move-leader', 'nonsense');
      await session.ctl('move-leader');
      await session.ctl('member', 'remove', '1234');
      await session.ctl('member', 'update', '1234', '--peer-urls=http://127.0.0.1:1');
      await session.ctl('member', 'promote', '1234');
      await session.ctl('member', 'add', 'other', '--peer-urls=nonsense');
      await session.ctl('member', 'add', 'other', `--peer-urls=${session.server.peerUrl}`);
    },
  },
  {
    name: 'defrag',
    play: async (session) => {
      for (let i = 0; i < 50; i++) await session.rpc.call('KV.Put', { key: 'k', value: 'v'.repeat(100_000) });
      await session.quiet({}, 'compaction', '--physical', '51');
      const before = await session.rpc.call('Maintenance.Status', {});
      await session.ctl('defrag');
      const after = await session.rpc.call('Maintenance.Status', {});
      assert(after.dbSize < before.dbSize / 2n, `${before.dbSize} → ${after.dbSize}`);
      await session.ctl('get', 'k', '-w', 'json');
      await session.ctl('defrag', '--cluster');
      await session.ctl('endpoint', 'hashkv');
    },
  },
  {
    name: 'alarms: no space, and space again',
    flags: () => ['--quota-backend-bytes=2000000'],
    play: async (session) => {
      await session.ctl('alarm', 'list');
      const lease = await session.grant('lease');
      let failure = '';
      for (let i = 0; i < 2000 && failure === ''; i++) {
        const outcome = await session.rpc.outcome('KV.Put', { key: 'k', value: 'v'.repeat(100_000) });
        if (!outcome.ok) failure = `${outcome.code} ${outcome.details}`;
      }
      session.note(failure);
      await session.ctl('alarm', 'list');
      // How many writes fit depends on when the backend commits.
      const list = await session.quiet({}, 'alarm', 'list', '-w', 'json');
      session.note(list.stdout.replace(/"revision":\d+/, '"revision":<n>'));
      await session.ctl('put', 'a', '1');
      await session.ctl('lease', 'grant', '100');
      await session.ctlWith({ stdin: '\nput a 1\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\nget a\n\n\n' }, 'txn');
      await session.ctlWith({ stdin: '\ndel a\n\n\n' }, 'txn');
      await session.ctl('get', 'a');
      await session.ctl('del', 'a');
      await session.ctl('lease', 'revoke', lease);
      await session.ctl('endpoint', 'health');
      const { header } = await session.rpc.call('KV.Range', { key: 'a' });
      await session.quiet({}, 'compaction', '--physical', `${header!.revision}`);
      await session.quiet({}, 'defrag');
      await session.ctl('put', 'a', '1');
      await session.ctl('alarm', 'disarm');
      await session.ctl('alarm', 'disarm');
      await session.ctl('alarm', 'list');
      const put = await session.quiet({}, 'put', 'a', '1');
      session.note(put.stdout);
      await session.ctl('endpoint', 'health');
    },
  },
];

testScenarios('maintenance', scenarios);
