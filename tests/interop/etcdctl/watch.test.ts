import { atLeast } from '../../support/programs.ts';
import type { Running } from '../../support/run.ts';
import { sleep } from '../../support/run.ts';
import { type Scenario, type Session, testScenarios } from './session.ts';

/** Waits until the watch has printed all of its last event, which ends with `end`; ends it, and records what it printed. */
async function finish(session: Session, what: string, watch: Running, end: RegExp): Promise<void> {
  // etcdctl prints in small pieces.
  await watch.waitForStdout((stdout) => end.test(stdout));
  watch.kill('SIGKILL');
  const ended = await watch.ended;
  session.note(`$ ${what}\n${ended.stdout}`);
}

/** The value of the last event, and the end of its line. */
const THE_END = /the end\n/;

function endOf(command: readonly string[]): RegExp {
  if (command.includes('--hex')) return /\\x74\\x68\\x65\\x20\\x65\\x6e\\x64\n/;
  return command.includes('fields') ? /"Value" : "the end"\n"Lease" : 0\n/ : THE_END;
}

async function history(session: Session): Promise<void> {
  const { rpc } = session;
  await rpc.call('KV.Put', { key: 'a', value: '1' });
  await rpc.call('KV.Put', { key: 'ab', value: '2' });
  await rpc.call('KV.Put', { key: 'a', value: '3' });
  await rpc.call('KV.DeleteRange', { key: 'ab' });
  await rpc.call('KV.Put', { key: 'b', value: '4' });
  await rpc.call('KV.Txn', {
    success: [
      { request_put: { key: 'a', value: '5' } },
      { request_put: { key: 'ac', value: '6' } },
      { request_delete_range: { key: 'b' } },
    ],
  });
  await rpc.call('KV.DeleteRange', { key: 'a', range_end: 'b' });
  await rpc.call('KV.Put', { key: 'a', value: 'the end' });
}

const scenarios: Scenario[] = [
  {
    name: 'from a past revision, in every form and format',
    play: async (session) => {
      await history(session);
      const commands = [
        ['watch', 'a', '--rev=1'],
        ['watch', 'a', '--rev=4'],
        ['watch', 'a', '--rev=1', '--prev-kv'],
        ['watch', 'a', '--prefix', '--rev=1', '--prev-kv'],
        ['watch', 'a', 'b', '--rev=2'],
        ['watch', '--prefix', '--rev=1', ''],
        ['watch', 'a', '--prefix', '--rev=1', '--prev-kv', '-w', 'fields'],
        ['watch', 'a', '--prefix', '--rev=1', '--prev-kv', '--hex'],
      ];
      for (const command of commands) {
        await finish(session, command.join(' '), session.start(...command), endOf(command));
      }
      // How many responses carry the events is a matter of timing only when they are still to come.
      const json = session.start('watch', 'a', '--prefix', '--rev=1', '--prev-kv', '-w', 'json');
      await finish(session, 'watch -w json', json, /dGhlIGVuZA==.*\n/);
    },
  },
  {
    name: 'live events',
    play: async (session) => {
      const watch = session.start('watch', 'a', '--prefix', '--prev-kv');
      // The watch says nothing when it is established: so poke until it answers.
      for (let i = 0; !watch.stdout.includes('PUT'); i++) {
        await session.rpc.call('KV.Put', { key: 'a-probe', value: `probe ${i}` });
        await sleep(50);
      }
      // How many pokes it took is nobody's business: the deletion shows the last one.
      await session.rpc.call('KV.Put', { key: 'a-probe', value: 'the last probe' });
      await session.rpc.call('KV.Put', { key: 'a-begin', value: '' });
      await history(session);
      await watch.waitForStdout((stdout) => stdout.includes('the end\n'));
      watch.kill('SIGINT');
      const { stdout } = await watch.ended;
      session.note(stdout.slice(stdout.indexOf('a-begin')));
    },
  },
  {
    name: 'compacted and future revisions',
    play: async (session) => {
      await history(session);
      await session.quiet({}, 'compaction', '5');
      await session.ctl('watch', 'a', '--rev=2');
      await session.ctl('watch', 'a', '--rev=4');
      await finish(session, 'watch --rev=5', session.start('watch', 'a', '--rev=5'), THE_END);
      const future = session.start('watch', 'a', '--rev=12');
      await session.rpc.call('KV.Put', { key: 'a', value: 'too early, 10' });
      await session.rpc.call('KV.Put', { key: 'a', value: 'too early, 11' });
      await session.rpc.call('KV.Put', { key: 'a', value: 'in time, 12' });
      await session.rpc.call('KV.Put', { key: 'a', value: 'the end' });
      await finish(session, 'watch --rev=12', future, THE_END);
    },
  },
  {
    name: 'bad arguments',
    play: async (session) => {
      await session.ctl('watch');
      await session.ctl('watch', 'b', 'a', '--rev=1');
      await session.ctl('watch', 'a', 'b', '--prefix');
    },
  },
  {
    name: 'interactively',
    play: async (session) => {
      await history(session);
      const watch = session.start('watch', '-i');
      watch.write('watch a --rev=1\n');
      await watch.waitForStdout((stdout) => stdout.includes('the end'));
      watch.write('progress\n');
      await watch.waitForStdout((stdout) => stdout.includes('progress notify:'));
      watch.write('watch --prefix b --rev=1 --prev-kv\n');
      await watch.waitForStdout((stdout) => stdout.includes('DELETE\nb\n4\nb\n\n'));
      watch.kill('SIGINT');
      const { stdout } = await watch.ended;
      session.note(stdout);
    },
  },
  {
    name: 'executing a command for each event',
    play: async (session) => {
      await history(session);
      const script = 'echo "$ETCD_WATCH_REVISION $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"';
      const watch = session.start('watch', 'a', '--prefix', '--rev=1', '--', 'sh', '-c', script);
      await watch.waitForStdout((stdout) => stdout.includes('"the end"\n'));
      watch.kill('SIGKILL');
      session.note((await watch.ended).stdout);
      await session.ctl('watch', 'a', '--rev=1', '--', 'false');
    },
  },
  {
    name: 'progress notifications',
    releases: ['3.5'],
    flags: (program) => [
      atLeast(program, 3, 6)
        ? '--watch-progress-notify-interval=1s'
        : '--experimental-watch-progress-notify-interval=1s',
    ],
    play: async (session) => {
      await history(session);
      const watch = session.start('watch', 'a', '--progress-notify');
      await watch.waitForStdout((stdout) => stdout.includes('progress notify:'));
      watch.kill('SIGKILL');
      session.note((await watch.ended).stdout.split('\n')[0]!);
    },
  },
];

testScenarios('watch', scenarios);
