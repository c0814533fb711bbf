import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { peer } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { type Scenario, type Session, testScenarios } from './session.ts';

/** The lock or election key ends in the lease's id. */
function withoutLease(text: string): string {
  return text.replace(/\/[0-9a-f]{11,16}\b/g, '/<lease>');
}

async function keys(session: Session): Promise<string[]> {
  const { stdout } = await session.quiet({}, 'get', '', '--prefix', '--keys-only');
  return withoutLease(stdout)
    .split('\n')
    .filter((line) => line !== '');
}

const scenarios: Scenario[] = [
  {
    name: 'lock: one holder at a time',
    play: async (session) => {
      const first = session.start('lock', 'mutex');
      await first.waitForStdout((stdout) => stdout.includes('mutex/'));
      const second = session.start('lock', 'mutex', '--ttl=5');
      await eventually('the second waits', async () => (await keys(session)).length === 2);
      session.note(`second while the first holds: "${second.stdout}"`);
      first.kill('SIGINT');
      const firstEnded = await first.ended;
      session.note(`${withoutLease(firstEnded.stdout)} exit ${firstEnded.code}`);
      await second.waitForStdout((stdout) => stdout.includes('mutex/'));
      second.kill('SIGTERM');
      await second.ended;
      session.note(JSON.stringify(await keys(session)));
    },
  },
  {
    name: 'lock: running a command',
    play: async (session) => {
      const ended = await session.quiet(
        {},
        'lock',
        'mutex',
        'sh',
        '-c',
        'echo "$ETCD_LOCK_KEY at $ETCD_LOCK_REV"; exit 7',
      );
      session.record('lock with a command', { ...ended, stdout: withoutLease(ended.stdout) });
      session.note(JSON.stringify(await keys(session)));
    },
  },
  {
    name: 'lock: the holder dies, its lease expires',
    play: async (session) => {
      const first = session.start('lock', 'mutex', '--ttl=2');
      await first.waitForStdout((stdout) => stdout.includes('mutex/'));
      first.kill('SIGKILL');
      const second = session.start('lock', 'mutex');
      await second.waitForStdout((stdout) => stdout.includes('mutex/'));
      second.kill('SIGINT');
      session.note(withoutLease((await second.ended).stdout));
    },
  },
  {
    name: 'elect and observe',
    play: async (session) => {
      const first = session.start('elect', 'post', 'alice');
      await first.waitForStdout((stdout) => stdout.includes('alice'));
      const observer = session.start('elect', '-l', 'post');
      await observer.waitForStdout((stdout) => stdout.includes('alice'));
      const second = session.start('elect', 'post', 'bob');
      await eventually('the second candidate waits', async () => (await keys(session)).length === 2);
      first.kill('SIGINT');
      session.note(withoutLease((await first.ended).stdout));
      await second.waitForStdout((stdout) => stdout.includes('bob'));
      await observer.waitForStdout((stdout) => stdout.includes('bob'));
      observer.kill('SIGINT');
      second.kill('SIGINT');
      session.note(withoutLease((await observer.ended).stdout));
      session.note(withoutLease((await second.ended).stdout));
    },
  },
  {
    name: 'make-mirror',
    play: async (session) => {
      const { rpc } = session;
      for (let i = 0; i < 30; i++) await rpc.call('KV.Put', { key: `m/${i}`, value: `${i}` });
      await rpc.call('KV.Put', { key: 'other', value: 'stays' });
      const target = await EtcdServer.start({ program: session.server.program, flags: FAST_ELECTION });
      try {
        const mirror = session.start('make-mirror', target.address, '--prefix=m/', '--dest-prefix=copy/');
        const copy = async (): Promise<string> => {
          const args = [`--endpoints=${target.address}`, 'get', '', '--prefix'];
          return (await run(peer(session.release, 'etcdctl'), args)).stdout;
        };
        await eventually('what was there is mirrored', async () => (await copy()).split('\n').length > 60);
        await rpc.call('KV.Put', { key: 'm/1', value: 'changed' });
        await rpc.call('KV.DeleteRange', { key: 'm/2', range_end: 'm/3' });
        await rpc.call('KV.Txn', {
          success: [
            { request_put: { key: 'm/last-1', value: 'x' } },
            { request_put: { key: 'm/last-2', value: 'y' } },
          ],
        });
        await eventually('changes are mirrored', async () => (await copy()).includes('last-2'));
        session.note(await copy());
        mirror.kill('SIGKILL');
        await mirror.ended;
      } finally {
        await target.stop();
      }
    },
  },
];

testScenarios('concurrency', scenarios);
