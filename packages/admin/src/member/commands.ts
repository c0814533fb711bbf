/** `etcdadm member`. */
import type { Command } from '@etcd/host/cli';
import { accessOf, REMOTE_FLAGS } from '../cluster/access-flags.ts';
import { ClusterError } from '../cluster/cluster-error.ts';
import { guarded } from '../cluster/guarded.ts';
import { replaceMember } from './replace.ts';
import { NoteFiles } from './replacement-note.ts';

const DEFAULT_NOTES_DIR = '/var/lib/etcdadm';

const REPLACE: Command = {
  name: 'replace',
  usage: 'NAME [flags]',
  summary: 'Replaces a member whose disk or machine is lost, or is to go',
  description: `Removes the member, adds its successor as a learner, says what is to be run on its host, waits until it has caught up, and gives it a vote.
What would cost the cluster its quorum, or its last good copy, is refused. Begun again it goes on where it was interrupted.`,
  flags: [
    ...REMOTE_FLAGS,
    { name: 'peer-urls', type: 'strings', usage: 'where the new member will be (where the old one was)' },
    {
      name: 'timeout',
      type: 'duration',
      default: '10m0s',
      usage: 'how long the new member may take until it is in sync',
    },
    { name: 'dry-run', type: 'bool', usage: 'say what would be done' },
    {
      name: 'notes-dir',
      type: 'string',
      default: DEFAULT_NOTES_DIR,
      usage: 'directory of notes about what is under way',
    },
  ],
  argumentProblem: (args) =>
    args.length === 1 ? null : `accepts the name of a member, received ${args.length} arguments`,
  run: (invocation) =>
    guarded(async (signal) => {
      const { flags, args, io } = invocation;
      const peerUrls = flags.list('peer-urls');
      for (const url of peerUrls) checkPeerUrl(url);
      const access = await accessOf(invocation);
      try {
        await replaceMember(access, new NoteFiles(flags.text('notes-dir')), {
          name: args[0]!,
          peerUrls,
          endpoints: access.client.endpoints,
          timeoutMs: Math.max(1, flags.durationMs('timeout')),
          isDryRun: flags.bool('dry-run'),
          signal,
          say: (line) => io.line(line),
        });
      } finally {
        access.close();
      }
    }),
};

export const MEMBER: Command = {
  name: 'member',
  usage: '',
  summary: 'Changes of the membership that keep the cluster safe',
  commands: [REPLACE],
};

function checkPeerUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isRight =
    url !== null && ['http:', 'https:'].includes(url.protocol) && url.port !== '' && url.pathname === '/';
  if (!isRight || text.endsWith('/')) {
    throw new ClusterError(
      `--peer-urls takes URLs with a port, as https://10.0.0.4:2380, not ${JSON.stringify(text)}`,
    );
  }
}
