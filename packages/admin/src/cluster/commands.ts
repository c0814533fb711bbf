/** `etcdadm init`, `join`, `reset` and `info`. */
import { availableParallelism, networkInterfaces } from 'node:os';
import { dirname, resolve } from 'node:path';
import type { Command, FlagDefinition, FlagValues, Invocation } from '@etcd/host/cli';
import { nodeFacts } from '../kubeadm/node-facts.ts';
import { ClusterError } from './cluster-error.ts';
import { guarded } from './guarded.ts';
import { info } from './info.ts';
import { INIT_PHASES } from './init.ts';
import { JOIN_PHASES } from './join.ts';
import { type Phase, type PhaseContext, runPhases } from './phase.ts';
import { reset } from './reset.ts';
import { serviceOf } from './service.ts';
import { type GivenSettings, settingsOf } from './settings.ts';

export const DEFAULT_CERTS_DIR = '/etc/etcd/pki';
const DEFAULT_DATA_DIR = '/var/lib/etcd';
const DEFAULT_INSTALL_DIR = '/opt/bin';
const DEFAULT_POD_DIR = '/etc/kubernetes/manifests';
const DEFAULT_REPOSITORY = 'quay.io/coreos/etcd';
/** Of the image that a kubelet runs. */
const DEFAULT_VERSION = '3.7.1';
const DISK_PRIORITIES = 'Nice=-10,IOSchedulingClass=best-effort,IOSchedulingPriority=2';

const text = (name: string, usage: string, value = ''): FlagDefinition => ({
  name,
  type: 'string',
  usage,
  default: value,
});

export const CERTS_DIR = text('certs-dir', 'directory of the certificates', DEFAULT_CERTS_DIR);
const DATA_DIR = text('data-dir', 'directory of the data', DEFAULT_DATA_DIR);
const REMOVE_DATA: FlagDefinition = {
  name: 'remove-data',
  type: 'bool',
  usage: 'delete what is in the data directory',
};

const HOST_FLAGS: readonly FlagDefinition[] = [
  text('name', "name of the member (the host's)"),
  text(
    'bind-address',
    'address of this host for members and clients (that of the interface with the default route)',
  ),
  CERTS_DIR,
  DATA_DIR,
  text('install-dir', 'directory of the programs', DEFAULT_INSTALL_DIR),
  {
    ...text('init-system', 'what runs the member: systemd or kubelet', 'systemd'),
    values: ['systemd', 'kubelet'],
  },
  text('kubelet-pod-manifest-path', 'directory of static pods', DEFAULT_POD_DIR),
  text('rootfs', 'directory that stands for the root of the file system'),
  {
    name: 'timeout',
    type: 'duration',
    default: '1m0s',
    usage: 'how long the member may take until it is healthy',
  },
];
const SET_UP_FLAGS: readonly FlagDefinition[] = [
  ...HOST_FLAGS,
  {
    name: 'server-cert-extra-sans',
    type: 'strings',
    usage: 'further names and addresses in the certificates of the member',
  },
  { name: 'disk-priorities', type: 'strings', default: DISK_PRIORITIES, usage: 'settings of the unit' },
  text('image-repository', 'where a kubelet takes the image from', DEFAULT_REPOSITORY),
  text('version', 'release of the image', DEFAULT_VERSION),
  REMOVE_DATA,
];

const SNAPSHOT_FLAGS: readonly FlagDefinition[] = [
  text('snapshot', 'file with a snapshot to begin with'),
  { name: 'skip-hash-check', type: 'bool', usage: 'take a snapshot that was copied from a data directory' },
];
const RETRY: FlagDefinition = {
  name: 'retry',
  type: 'bool',
  default: 'true',
  usage: 'ask again when the cluster takes no member at the moment',
};

function noArguments(args: readonly string[]): string | null {
  return args.length === 0 ? null : `accepts no arguments, received ${args.length}`;
}

function oneEndpoint(args: readonly string[]): string | null {
  return args.length === 1 ? null : `accepts the URL of a member, received ${args.length} arguments`;
}

const INIT: Command = {
  name: 'init',
  usage: '[flags]',
  summary: 'Founds a secure cluster with this host as its first member',
  description: `Makes an authority unless there is one, the certificates of this host, and what systemd or a kubelet runs the member from; starts it, waits
until it is healthy, and says how others join. What an earlier run has begun is gone on with.`,
  flags: [...SET_UP_FLAGS, ...SNAPSHOT_FLAGS],
  argumentProblem: noArguments,
  run: (invocation) => guarded((signal) => runPhases(INIT_PHASES, contextOf(invocation, '', signal))),
  commands: [phaseCommand('init', INIT_PHASES, [...SET_UP_FLAGS, ...SNAPSHOT_FLAGS])],
};

const JOIN: Command = {
  name: 'join',
  usage: 'URL [flags]',
  summary: 'Makes this host a member of the cluster of which a member is at URL',
  description: `Needs ca.crt and ca.key of the cluster in the directory of the certificates. The member begins as a learner and gets its vote when it has caught
up. What an earlier run has begun is gone on with.`,
  flags: [...SET_UP_FLAGS, RETRY],
  argumentProblem: oneEndpoint,
  run: (invocation) =>
    guarded((signal) => runPhases(JOIN_PHASES, contextOf(invocation, endpointOf(invocation), signal))),
  commands: [phaseCommand('join', JOIN_PHASES, [...SET_UP_FLAGS, RETRY])],
};

function phaseCommand(
  of: 'init' | 'join',
  phases: readonly Phase[],
  flags: readonly FlagDefinition[],
): Command {
  const isJoin = of === 'join';
  return {
    name: 'phase',
    usage: '',
    summary: 'A single step of it',
    commands: phases.map((phase) => ({
      name: phase.name,
      usage: isJoin ? 'URL' : '',
      summary: phase.summary,
      flags,
      argumentProblem: isJoin ? oneEndpoint : noArguments,
      run: (invocation) =>
        guarded((signal) =>
          runPhases([phase], contextOf(invocation, isJoin ? endpointOf(invocation) : '', signal)),
        ),
    })),
  };
}

const RESET: Command = {
  name: 'reset',
  usage: '[flags]',
  summary: 'Takes this host out of its cluster',
  description: `Removes the member from its cluster, unless that would cost the others their quorum, ends it, and removes what it was started from. Data, authority and
certificates stay unless their removal is asked for.`,
  flags: [
    ...HOST_FLAGS,
    { name: 'skip-remove-member', type: 'bool', usage: 'do not tell the cluster' },
    REMOVE_DATA,
    {
      name: 'remove-certs',
      type: 'bool',
      usage: 'delete the directory of the certificates, with the authority',
    },
  ],
  argumentProblem: noArguments,
  run: (invocation) =>
    guarded(async (signal) => {
      const { flags } = invocation;
      await reset(contextOf(invocation, '', signal), {
        skipsRemoval: flags.bool('skip-remove-member'),
        removesData: flags.bool('remove-data'),
        removesCertificates: flags.bool('remove-certs'),
      });
    }),
};

const INFO: Command = {
  name: 'info',
  usage: '[flags]',
  summary: 'Prints the member on this host as JSON',
  flags: HOST_FLAGS,
  argumentProblem: noArguments,
  run: (invocation) =>
    guarded(async (signal) => invocation.io.line(await info(contextOf(invocation, '', signal)))),
};

export const CLUSTER_COMMANDS: readonly Command[] = [INIT, JOIN, RESET, INFO];

function endpointOf({ args }: Invocation): string {
  const endpoint = args[0]!;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url?.protocol !== 'https:' || url.hostname === '' || !['', '/'].includes(url.pathname)) {
    throw new ClusterError(
      `endpoint ${JSON.stringify(endpoint)} is not the URL of a member, as https://10.0.0.1:2379`,
    );
  }
  return `https://${url.hostname}:${url.port === '' ? '2379' : url.port}`;
}

export function contextOf(invocation: Invocation, endpoint: string, signal: AbortSignal): PhaseContext {
  const { flags, io } = invocation;
  const settings = settingsOf(givenSettings(flags), hostFacts());
  if (settings.rootfs === '' && process.getuid?.() !== 0) {
    throw new ClusterError('[preflight] files of the host and its services are for root: run this as root');
  }
  return {
    settings,
    options: {
      endpoint,
      snapshot: flags.text('snapshot') === '' ? '' : resolve(flags.text('snapshot')),
      skipHashCheck: flags.bool('skip-hash-check'),
      removesData: flags.bool('remove-data'),
      retries: flags.bool('retry'),
      timeoutMs: Math.max(1, flags.durationMs('timeout')),
      ownPrograms: ownPrograms(),
      invocation,
    },
    service: serviceOf(settings),
    signal,
    say: (line) => io.line(line),
    warn: (line) => io.error(line),
    initial: null,
    memberId: null,
  };
}

function givenSettings(flags: FlagValues): GivenSettings {
  return {
    name: flags.text('name'),
    bindAddress: flags.text('bind-address'),
    certsDir: flags.text('certs-dir'),
    dataDir: flags.text('data-dir'),
    installDir: flags.text('install-dir'),
    podDir: flags.text('kubelet-pod-manifest-path'),
    initSystem: flags.text('init-system'),
    extraNames: flags.list('server-cert-extra-sans'),
    diskPriorities: flags.list('disk-priorities'),
    imageRepository: flags.text('image-repository') || DEFAULT_REPOSITORY,
    version: flags.text('version') || DEFAULT_VERSION,
    rootfs: flags.text('rootfs'),
  };
}

function hostFacts(): Parameters<typeof settingsOf>[1] {
  const addresses = Object.values(networkInterfaces()).flatMap((each) =>
    (each ?? []).map(({ address }) => address),
  );
  return { ...nodeFacts(), addresses, cpus: availableParallelism() };
}

/** Where `etcd` is that comes with this program: beside its bundle, or in the checkout that it runs from. */
function ownPrograms(): string {
  return resolve(dirname(process.argv[1] ?? '.'), '../bin');
}
