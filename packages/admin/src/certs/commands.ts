/** `etcdadm certs`. */
import { resolve } from 'node:path';
import type { Command, Invocation } from '@etcd/host/cli';
import { isKeyKind, KEY_ALGORITHMS } from '@etcd/host/pki';
import { ClusterError } from '../cluster/cluster-error.ts';
import { CERTS_DIR } from '../cluster/commands.ts';
import { guarded } from '../cluster/guarded.ts';
import { certificateAges, RENEWABLE, renewHostCertificate } from './host-certificates.ts';
import { makeSampleCertificates } from './sample-certificates.ts';

const KEY_KINDS = Object.keys(KEY_ALGORITHMS);
const ALWAYS = ['localhost', '127.0.0.1'];

const MAKE: Command = {
  name: 'make',
  usage: '--names infra0,infra1,infra2 --hosts 10.0.0.1,10.0.0.2,… [flags]',
  summary: "Makes an authority, and certificates of members and a client, as etcd's sample script does",
  description: `Writes ca.pem, and for each member NAME.pem for its clients and peer-NAME.pem for other members, each with its -key.pem, and client.pem. The certificates of
members stand for all hosts, localhost and 127.0.0.1. What is there is kept.`,
  flags: [
    { name: 'names', type: 'strings', usage: 'of members: what their files are called', isRequired: true },
    { name: 'hosts', type: 'strings', usage: 'names and addresses of all members' },
    { name: 'dir', type: 'string', default: 'certs', usage: 'where they are written' },
    { name: 'validity', type: 'duration', default: '876000h0m0s', usage: 'how long they are good for' },
    {
      name: 'key-type',
      type: 'string',
      default: 'RSA-2048',
      usage: `of keys: ${KEY_KINDS.join(', ')}`,
      values: KEY_KINDS,
    },
  ],
  argumentProblem: (args) => (args.length === 0 ? null : `accepts no arguments, received ${args.length}`),
  run: (invocation) => guarded(() => make(invocation)),
};

const LIST: Command = {
  name: 'list',
  usage: '[flags]',
  summary: 'Says how long the certificates of this host are good for',
  flags: [CERTS_DIR],
  run: ({ flags, io }) =>
    guarded(() => {
      const directory = flags.text('certs-dir');
      const ages = certificateAges(directory, Date.now());
      if (ages.length === 0) throw new ClusterError(`there are no certificates in ${directory}`);
      for (const { path, validToMs, daysLeft } of ages) {
        const left = daysLeft < 0 ? 'expired' : `${daysLeft} days left`;
        io.line(`${path}  until ${new Date(validToMs).toISOString()}  ${left}`);
      }
    }),
};

const RENEW: Command = {
  name: 'renew',
  usage: 'NAME…|all [flags]',
  summary: 'Makes new certificates of this host in the place of old ones',
  flags: [CERTS_DIR],
  argumentProblem: (args) => (args.length > 0 ? null : 'accepts names of certificates, or all'),
  argumentValues: ['all', ...RENEWABLE],
  run: ({ args, flags, io }) =>
    guarded(async () => {
      const names = args.includes('all') ? RENEWABLE : args;
      for (const name of names) {
        await renewHostCertificate(flags.text('certs-dir'), name, Date.now());
        io.line(`${name} renewed`);
      }
      io.line('Members take them up for new connections.');
    }),
};

export const CERTS: Command = {
  name: 'certs',
  usage: '',
  summary: 'Certificates of members and clients',
  commands: [LIST, RENEW, MAKE],
};

async function make({ flags, io }: Invocation): Promise<void> {
  const keyKind = flags.text('key-type');
  if (!isKeyKind(keyKind))
    throw new ClusterError(`key type ${JSON.stringify(keyKind)} is none of ${KEY_KINDS.join(', ')}`);
  const validityMs = flags.durationMs('validity');
  if (validityMs <= 0) throw new ClusterError('--validity takes a time that is to come');
  const names = flags.list('names');
  for (const name of names) {
    const isTaken = ['ca', 'client'].includes(name);
    if (isTaken || !/^[A-Za-z0-9]([A-Za-z0-9._-]*)$/.test(name)) {
      throw new ClusterError(`a member's files can not be called ${JSON.stringify(name)}`);
    }
  }
  for (const host of flags.list('hosts')) {
    if (!/^[A-Za-z0-9*]([A-Za-z0-9.:*-]*)$/.test(host))
      throw new ClusterError(`${JSON.stringify(host)} is neither a name nor an address`);
  }
  await makeSampleCertificates({
    directory: resolve(flags.text('dir')),
    names,
    hosts: [...new Set([...ALWAYS, ...flags.list('hosts')])],
    validityMs,
    keyKind,
    nowMs: Date.now(),
    say: (line) => io.line(line),
  });
}
