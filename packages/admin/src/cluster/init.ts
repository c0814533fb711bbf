/** `etcdadm init`: founds a cluster of one member, with certificates on every side, which others come to by `etcdadm join`. */
import { randomBytes } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { RESTORE_FLAGS } from '@etcd/etcdutl/restore-flags';
import { parseFlags } from '@etcd/host/cli';
import { ClusterError } from './cluster-error.ts';
import { certificatesPhase, ETCDCTL, HEALTH, INSTALL, startPhase } from './common-phases.ts';
import { dataStateOf, removeData } from './data-directory.ts';
import { type InitialCluster, writtenVariables } from './environment.ts';
import type { Phase, PhaseContext, PhaseOptions } from './phase.ts';
import { PLACES, placed, type Settings } from './settings.ts';

const TOKEN_BYTES = 4;

const SNAPSHOT: Phase = {
  name: 'snapshot',
  summary: 'Makes the data of a snapshot, where one is given',
  async run(context) {
    const { options, settings, service, say } = context;
    if (options.snapshot === '') return;
    await checkSnapshot(options);
    await prepareFounding(context);
    const dataDir = placed(settings, settings.dataDir);
    if (dataStateOf(dataDir).kind === 'used') {
      throw new ClusterError(
        `[snapshot] ${settings.dataDir} is not empty: leave --snapshot out to go on with what is there, or add --remove-data to have it deleted`,
      );
    }
    // What it is made for is known first, so that an interrupted run can go on with it.
    service.configure(context.initial!);
    await restore(context, dataDir);
    say(`[snapshot] ${settings.dataDir} has what is in ${options.snapshot}`);
  },
};

/** Before anything that it is to take the place of is deleted. */
async function checkSnapshot({ snapshot, skipHashCheck }: PhaseOptions): Promise<void> {
  try {
    if (!statSync(snapshot).isFile()) throw new Error('it is no file');
    // What was copied from a data directory has no digest that it could be compared with.
    if (skipHashCheck) return;
    const { verifySnapshotFile } = await import('@etcd/etcdutl/snapshot');
    await verifySnapshotFile(snapshot, 0);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n', 1);
    throw new ClusterError(`[snapshot] ${snapshot} can not be used: ${reason}`);
  }
}

async function restore({ settings, options, initial }: PhaseContext, dataDir: string): Promise<void> {
  const parsed = parseFlags(RESTORE_FLAGS, [
    `--data-dir=${dataDir}`,
    `--name=${settings.name}`,
    `--initial-cluster=${initial!.members}`,
    `--initial-cluster-token=${initial!.token}`,
    `--initial-advertise-peer-urls=${settings.peerUrl}`,
    `--skip-hash-check=${options.skipHashCheck}`,
  ]);
  if (typeof parsed === 'string') throw new ClusterError(`[snapshot] ${parsed}`);
  const { runRestore } = await import('@etcd/etcdutl/snapshot');
  await runRestore({ ...options.invocation, flags: parsed.values, args: [options.snapshot] });
}

const CONFIGURE: Phase = {
  name: 'configure',
  summary: 'Writes what the member is started from',
  async run(context) {
    await prepareFounding(context);
    context.service.configure(context.initial!);
    context.say(`[configure] ${context.settings.name} listens on ${context.settings.clientUrl}`);
  },
};

const INSTRUCTIONS: Phase = {
  name: 'post-init-instructions',
  summary: 'Says what comes next',
  run({ settings, say }) {
    const { certsDir, clientUrl } = settings;
    say('');
    say('The cluster has one member. To add another, take the authority to its host and have it join:');
    say(`  ssh HOST mkdir -p ${certsDir}`);
    say(`  scp ${certsDir}/ca.crt ${certsDir}/ca.key HOST:${certsDir}/`);
    say(`  ssh HOST etcdadm join ${clientUrl}`);
    say('Members are best three or five; one at a time. `etcdadm doctor` says how the cluster is.');
  },
};

export const INIT_PHASES: readonly Phase[] = [
  INSTALL,
  certificatesPhase(true),
  SNAPSHOT,
  CONFIGURE,
  startPhase(prepareFounding),
  ETCDCTL,
  HEALTH,
  INSTRUCTIONS,
];

/** Finds out what the member is to found, once; goes on with what an earlier run has begun. Throws {@link ClusterError}. */
async function prepareFounding(context: PhaseContext): Promise<void> {
  if (context.initial !== null) return;
  const { settings, options, service, say } = context;
  const dataDir = placed(settings, settings.dataDir);
  const begun = begunBefore(settings);
  const isUsed = dataStateOf(dataDir).kind === 'used';
  if (options.removesData && isUsed) {
    if (await service.isActive()) {
      throw new ClusterError(
        `[data] ${settings.dataDir} is in use: ${service.title} is running; etcdadm reset ends it`,
      );
    }
    say(`[data] Deleting what is in ${settings.dataDir}`);
    removeData(dataDir);
  } else if (begun !== null && isUsed) {
    say('[data] Going on with what an earlier run has begun');
    context.initial = begun;
    return;
  } else if (isUsed) {
    throw new ClusterError(
      `[data] ${settings.dataDir} is not empty: a new cluster needs another --data-dir, or --remove-data to have what is there deleted`,
    );
  }
  if (!options.removesData) refuseLostData(settings);
  if (await service.isActive()) {
    throw new ClusterError(
      `[data] ${service.title} is running already, as another member; etcdadm reset ends it`,
    );
  }
  context.initial = {
    state: 'new',
    members: `${settings.name}=${settings.peerUrl}`,
    token: randomBytes(TOKEN_BYTES).toString('hex'),
  };
}

/**
 * A member that has run here, and whose data are gone, may have others that know it: what is founded in its place would be a second cluster
 * behind the same addresses.
 */
function refuseLostData(settings: Settings): void {
  if (!existsSync(placed(settings, PLACES.etcdctlEnvironment))) return;
  throw new ClusterError(
    `[data] a member has run on this host, and ${settings.dataDir} is empty: etcdadm member replace from another member, or etcdadm reset first to found a new cluster`,
  );
}

/** What was written to found the same member. A token is used again only with data that were made with it. */
function begunBefore(settings: Settings): InitialCluster | null {
  const written = writtenVariables(settings);
  const members = `${settings.name}=${settings.peerUrl}`;
  const isSame =
    written?.get('ETCD_INITIAL_CLUSTER_STATE') === 'new' &&
    written.get('ETCD_INITIAL_CLUSTER') === members &&
    written.get('ETCD_DATA_DIR') === settings.dataDir;
  if (!isSame) return null;
  return { state: 'new', members, token: written.get('ETCD_INITIAL_CLUSTER_TOKEN') ?? null };
}
