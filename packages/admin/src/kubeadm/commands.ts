/** The part of kubeadm's commands that has to do with etcd. */
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Command, ExitError, type FlagDefinition, type Invocation } from '@etcd/host/cli';
import { writeWhole } from '../cluster/files.ts';
import { applyPatches } from '../patches/apply-patches.ts';
import { PatchError } from '../patches/patch-error.ts';
import { PairError } from '../pki/pair-files.ts';
import { type CertificateSpec, ETCD_AUTHORITY, LEAVES } from './certificates.ts';
import {
  type ClusterConfig,
  clusterConfig,
  DEFAULT_CERTIFICATES_DIR,
  etcdImageOf,
  readDocuments,
} from './cluster-config.ts';
import { ConfigError } from './config-error.ts';
import { expirationTable } from './expiration.ts';
import { etcdPod, manifestText } from './manifest.ts';
import { nodeFacts } from './node-facts.ts';
import { DEFAULT_CRI_SOCKET, pullImages } from './pull-images.ts';
import { imagesOf } from './release.ts';
import { renewCertificate } from './renew.ts';
import { CertificatePhases } from './run-certs.ts';

const MANIFESTS_DIR = '/etc/kubernetes/manifests';

const CONFIG: FlagDefinition = { name: 'config', type: 'string', usage: 'file with the configuration' };
const CERT_DIR: FlagDefinition = {
  name: 'cert-dir',
  type: 'string',
  usage: `where the certificates are (${DEFAULT_CERTIFICATES_DIR})`,
};
const VERSION: FlagDefinition = {
  name: 'kubernetes-version',
  type: 'string',
  usage: 'release of Kubernetes that this is for',
};
const REPOSITORY: FlagDefinition = {
  name: 'image-repository',
  type: 'string',
  usage: 'where images come from',
};
const DRY_RUN: FlagDefinition = { name: 'dry-run', type: 'bool', usage: 'change nothing' };
const ROOTFS: FlagDefinition = {
  name: 'rootfs',
  type: 'string',
  usage: 'directory that stands for the root of the file system',
};

const PATCHES: FlagDefinition = {
  name: 'patches',
  type: 'string',
  usage:
    'directory with patches, in files called target[suffix][+patchtype].extension, as etcd.json or etcd0+merge.yaml',
};

const CRI_SOCKET: FlagDefinition = {
  name: 'cri-socket',
  type: 'string',
  default: DEFAULT_CRI_SOCKET,
  usage: 'of the container runtime',
};

const PHASE_FLAGS = [CONFIG, CERT_DIR, VERSION, DRY_RUN, ROOTFS];

export const KUBEADM_COMMANDS: readonly Command[] = [
  {
    name: 'init',
    usage: '',
    summary: 'Sets up a node',
    commands: [
      {
        name: 'phase',
        usage: '',
        summary: 'A single step of it',
        commands: [
          {
            name: 'certs',
            usage: '',
            summary: 'Certificates',
            commands: [ETCD_AUTHORITY, ...LEAVES].map(certificateCommand),
          },
          {
            name: 'etcd',
            usage: '',
            summary: 'The member on this node',
            commands: [
              {
                name: 'local',
                usage: '',
                summary: 'Writes the static pod manifest of a member',
                flags: [...PHASE_FLAGS, REPOSITORY, PATCHES],
                run: (invocation) => guarded(() => writeManifest(invocation)),
              },
            ],
          },
        ],
      },
    ],
  },
  {
    name: 'certs',
    usage: '',
    summary: 'Certificates that are there',
    commands: [
      {
        name: 'check-expiration',
        usage: '',
        summary: 'Says how long they are good for',
        flags: [CONFIG, CERT_DIR, ROOTFS],
        run: (invocation) =>
          guarded(() => {
            const { config, root } = configOf(invocation);
            invocation.io.out(expirationTable(join(root, config.certificatesDir)));
          }),
      },
      {
        name: 'renew',
        usage: '',
        summary: 'Makes new ones in their place',
        commands: [
          ...LEAVES.map((spec) => renewCommand(spec.name, `Renews the ${spec.longName}`, [spec])),
          renewCommand('all', 'Renews all of them', LEAVES),
        ],
      },
    ],
  },
  {
    name: 'config',
    usage: '',
    summary: 'The configuration',
    commands: [
      {
        name: 'images',
        usage: '',
        summary: 'Images that it asks for',
        commands: [
          {
            name: 'list',
            usage: '',
            summary: 'Names them',
            flags: [CONFIG, VERSION, REPOSITORY],
            run: (invocation) => guarded(() => listImages(invocation)),
          },
          {
            name: 'pull',
            usage: '',
            summary: 'Brings them onto this host, by way of crictl',
            flags: [CONFIG, VERSION, REPOSITORY, CRI_SOCKET],
            run: (invocation) => guarded(() => pull(invocation)),
          },
        ],
      },
    ],
  },
];

function certificateCommand(spec: CertificateSpec): Command {
  return {
    name: spec.name,
    usage: '',
    summary: `Makes the ${spec.longName}`,
    flags: PHASE_FLAGS,
    run: (invocation) => guarded(() => makeCertificate(invocation, spec)),
  };
}

function renewCommand(name: string, summary: string, specs: readonly CertificateSpec[]): Command {
  return {
    name,
    usage: '',
    summary,
    flags: [CONFIG, CERT_DIR, ROOTFS],
    run: (invocation) =>
      guarded(async () => {
        const { config, root } = configOf(invocation);
        for (const spec of specs) {
          await renewCertificate(config, join(root, config.certificatesDir), spec);
          invocation.io.line(`${spec.longName} renewed`);
        }
        invocation.io.line('');
        invocation.io.line('Done renewing certificates. You must restart what uses them.');
      }),
  };
}

/** What is the author's mistake ends the program with a line; anything else is ours. */
async function guarded(work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof ConfigError || error instanceof PairError || error instanceof PatchError)
      throw new ExitError(1, error.message);
    throw error;
  }
}

interface Settings {
  readonly config: ClusterConfig;
  /** Before every path that is not the author's own; empty for none. */
  readonly root: string;
}

function configOf({ flags, io }: Invocation): Settings {
  const path = flags.text('config');
  const root = flags.text('rootfs');
  const warn = (text: string): void => io.error(`W ${text}`);
  if (path !== '') {
    for (const name of ['cert-dir', 'kubernetes-version', 'image-repository']) {
      if (flags.isSet(name)) throw new ConfigError(`can not mix '--config' with arguments [${name}]`);
    }
  }
  const documents = path === '' ? new Map() : readDocuments(readConfig(path), path, warn);
  const given = {
    certDir: flags.text('cert-dir'),
    kubernetesVersion: flags.text('kubernetes-version'),
    imageRepository: flags.text('image-repository'),
  };
  return { config: clusterConfig(documents, given, nodeFacts(), warn), root };
}

function readConfig(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'no such file or directory' : message;
    throw new ConfigError(`unable to read config from ${JSON.stringify(path)}: open ${path}: ${reason}`);
  }
}

async function makeCertificate(invocation: Invocation, spec: CertificateSpec): Promise<void> {
  const { flags, io } = invocation;
  const { config, root } = configOf(invocation);
  const from = join(root, config.certificatesDir);
  const to = flags.bool('dry-run') ? mkdtempSync(join(tmpdir(), 'kubeadm-init-dryrun')) : from;
  const output = { line: (text: string) => io.line(text), warn: (text: string) => io.error(text) };
  await new CertificatePhases(config, { from, to }, output).run(spec);
  if (to !== from) io.line(`[dryrun] What would be made is in ${JSON.stringify(to)}`);
}

function writeManifest(invocation: Invocation): void {
  const { flags, io } = invocation;
  const { config, root } = configOf(invocation);
  if (config.isExternal)
    return io.line('[etcd] External etcd mode. Skipping the creation of a manifest for local etcd');
  const path = join(root, MANIFESTS_DIR, 'etcd.yaml');
  const isDryRun = flags.bool('dry-run');
  if (isDryRun)
    io.line(`[etcd] Would ensure that ${JSON.stringify(config.etcd.dataDir)} directory is present`);
  else io.line(`[etcd] Creating static Pod manifest for local etcd in ${JSON.stringify(MANIFESTS_DIR)}`);
  const patches = flags.text('patches') || config.patchesDir;
  const pod = etcdPod(config);
  const line = (text: string): void => io.line(text);
  const manifest = manifestText(patches === '' ? pod : applyPatches(pod, 'etcd', patches, line));
  if (isDryRun) {
    io.line(`[dryrun] Would write file ${JSON.stringify(path)} with content:`);
    return io.out(manifest);
  }
  mkdirSync(join(root, config.etcd.dataDir), { recursive: true, mode: 0o700 });
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeWhole(path, manifest, 0o600);
}

function imagesFor(invocation: Invocation): string[] {
  const { config } = configOf(invocation);
  return imagesOf(config.release, config.imageRepository, etcdImageOf(config));
}

function listImages(invocation: Invocation): void {
  for (const image of imagesFor(invocation)) invocation.io.line(image);
}

async function pull(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation;
  await pullImages(imagesFor(invocation), flags.text('cri-socket'), (text) => io.line(text));
}
