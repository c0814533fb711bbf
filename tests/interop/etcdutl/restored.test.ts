/** Members that `bin/etcdutl` has restored are started by etcd 3.5, 3.7 and ours; snapshots of ours are restored by etcd's tools. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Kind, programOf, QUICK_ELECTION } from '../../support/cluster.ts';
import { EtcdServer } from '../../support/etcd-server.ts';
import { foundedAt, needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { type RestoredMember, restoreMembers } from '../../support/restored-members.ts';
import { eventually, run } from '../../support/run.ts';
import { goTool, KEYS, makeFiles } from './files.ts';

const OURS = `${ROOT}bin/etcdutl`;

async function ctl(server: EtcdServer, ...args: string[]): Promise<string> {
  return await eventually(`etcdctl ${args.join(' ')}`, async () => {
    const flags = [`--endpoints=${server.address}`, '--dial-timeout=2s', ...args];
    const { code, stdout } = await run(peer('3.5', 'etcdctl'), flags, { env: { ETCDCTL_API: '3' } });
    return code === 0 ? stdout : null;
  });
}

/** Starts the members, each as one kind, and looks at what they serve. */
async function assertServes(founders: readonly RestoredMember[], kinds: readonly Kind[]): Promise<void> {
  const servers = await Promise.all(
    founders.map((founder, i) =>
      EtcdServer.launch({ ...founder, program: programOf(kinds[i] ?? 'ours'), flags: QUICK_ELECTION }),
    ),
  );
  try {
    await Promise.all(servers.map((server) => server.ready()));
    const hashes = new Set<unknown>();
    for (const server of servers) await ctl(server, 'put', 'written', server.address);
    for (const server of servers) {
      const keys = await ctl(server, 'get', 'key/', '--prefix', '--keys-only');
      assert.equal(keys.match(/key\//g)?.length, KEYS - 1);
      const members = await ctl(server, 'member', 'list');
      assert.equal(members.match(/, started, r/g)?.length, founders.length, members);
      const answer = await ctl(server, 'endpoint', 'hashkv', '-w', 'json');
      hashes.add((JSON.parse(answer) as [{ HashKV: { hash: number } }])[0].HashKV.hash);
    }
    assert.equal(hashes.size, 1);
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
  }
}

describe('restored members', needs('etcd 3.5', 'etcd 3.7'), () => {
  test('a snapshot of Go, restored here, is run by etcd 3.5, 3.7 and ours', async () => {
    const { snapshot } = await makeFiles(peer('3.5', 'etcd'));
    for (const kind of ['3.5', '3.7', 'ours'] as const) {
      await assertServes(await restoreMembers(OURS, snapshot, 1), [kind]);
    }
    await assertServes(await restoreMembers(OURS, snapshot, 3), ['3.5', 'ours', '3.5']);
    await assertServes(await restoreMembers(OURS, snapshot, 3), ['3.7', 'ours', '3.7']);
    await assertServes(await restoreMembers(OURS, snapshot, 3), ['ours', 'ours', 'ours']);
  });

  test('a jump of the revision is seen alike by etcd 3.5, 3.7 and ours', async () => {
    const { snapshot } = await makeFiles(peer('3.5', 'etcd'));
    const jump = ['--bump-revision=1000000', '--mark-compacted'];
    await assertServes(await restoreMembers(OURS, snapshot, 3, jump), ['3.5', 'ours', '3.5']);
    await assertServes(await restoreMembers(OURS, snapshot, 3, jump), ['3.7', 'ours', '3.7']);
    const made = await Promise.all(
      [OURS, goTool('3.7')].map((tool) => restoreMembers(tool, snapshot, 1, jump)),
    );
    const hashes = await Promise.all(
      made.flatMap(([founder]) =>
        [OURS, goTool('3.7')].map((tool) => run(tool, ['hashkv', `${founder?.dataDir}/member/snap/db`])),
      ),
    );
    assert.match(hashes[0]?.stdout ?? '', /^\d+, 10000\d\d, 10000\d\d\n$/);
    assert.equal(new Set(hashes.map(({ stdout }) => stdout)).size, 1);
  });

  test('a snapshot of ours is restored by etcd 3.7 and ours', async () => {
    const { snapshot } = await makeFiles(SUBJECT);
    for (const tool of [goTool('3.7'), OURS]) {
      const founders = await restoreMembers(tool, snapshot, 1);
      await assertServes(founders, [tool === OURS ? 'ours' : '3.7']);
    }
  });

  test('a snapshot of ours, of a cluster at version 3.5, is read and restored by the tools of etcd 3.5', async () => {
    const { snapshot } = await makeFiles(SUBJECT, foundedAt('3.5'));
    const tools = [goTool('3.5'), peer('3.5', 'etcdctl'), `${ROOT}bin/etcdctl`];
    const statuses = await Promise.all(tools.map((each) => run(each, ['snapshot', 'status', snapshot])));
    assert.match(statuses[0]?.stdout ?? '', /^[0-9a-f]+, \d+, \d+, .+B\n$/);
    assert.equal(new Set(statuses.map(({ stdout }) => stdout)).size, 1);
    for (const each of tools.slice(0, 2)) {
      await assertServes(await restoreMembers(each, snapshot, 1), ['3.5']);
      await assertServes(await restoreMembers(each, snapshot, 1), ['ours']);
    }
    await assertServes(await restoreMembers(goTool('3.5'), snapshot, 3), ['3.5', 'ours', '3.5']);
  });
});
