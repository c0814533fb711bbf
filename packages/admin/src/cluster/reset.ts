/** `etcdadm reset`: the member leaves its cluster, and the host is as before. Data, authority and certificates stay unless asked for. */
import { existsSync, lstatSync, readlinkSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ClusterError } from './cluster-error.ts';
import { dataStateOf, removeData } from './data-directory.ts';
import { knownCluster } from './known-members.ts';
import { type PhaseContext, withCluster } from './phase.ts';
import { clientUrlsOf, formatMemberId, removalProblem } from './quorum.ts';
import { removeMember } from './remove-member.ts';
import { installedProgram, removeFile } from './service.ts';
import { PLACES, placed } from './settings.ts';

export interface ResetOptions {
  readonly skipsRemoval: boolean;
  readonly removesData: boolean;
  readonly removesCertificates: boolean;
}

export async function reset(context: PhaseContext, options: ResetOptions): Promise<void> {
  const { settings, service, signal, say } = context;
  const { dataDir, certsDir } = settings;
  if (options.skipsRemoval) say('[reset] The cluster is not told');
  else if (await service.isActive()) await leaveCluster(context);
  else {
    say('[reset] The member does not run: if the cluster has it still, etcdctl member remove takes it out');
  }
  await service.stop(signal);
  say(`[reset] Stopped ${service.title}`);
  for (const path of service.remove()) say(`[reset] Removed ${path}`);
  removeTools(context);
  if (options.removesData) {
    removeData(placed(settings, dataDir));
    say(`[reset] Removed what was in ${dataDir}`);
  } else if (dataStateOf(placed(settings, dataDir)).kind === 'used') {
    say(`[reset] The data stay in ${dataDir}; --remove-data has them deleted`);
  }
  if (options.removesCertificates) {
    rmSync(placed(settings, certsDir), { recursive: true, force: true });
    say(`[reset] Removed ${certsDir}`);
  } else if (existsSync(placed(settings, certsDir))) {
    say(`[reset] Authority and certificates stay in ${certsDir}; --remove-certs has them deleted`);
  }
}

async function leaveCluster(context: PhaseContext): Promise<void> {
  const { settings, say } = context;
  await withCluster(context, [settings.clientUrl, settings.loopbackUrl], async (access) => {
    const status = (await access.status(settings.clientUrl)) ?? (await access.status(settings.loopbackUrl));
    const id = status?.header?.memberId;
    if (id === undefined) {
      throw new ClusterError(
        '[reset] the member on this host does not answer; --skip-remove-member resets it all the same',
      );
    }
    const { all } = await knownCluster(access);
    if (!all.some(({ member }) => member.id === id))
      return say('[reset] The cluster has removed this member already');
    if (all.length === 1) return say('[reset] It is the last member: there is nobody to tell');
    const problem = removalProblem(all, id);
    if (problem !== null) {
      throw new ClusterError(
        `[reset] ${settings.name} can not be removed: ${problem}; --skip-remove-member resets it all the same`,
      );
    }
    access.widen(clientUrlsOf(all.map(({ member }) => member).filter((member) => member.id !== id)));
    await removeMember(access, id, { timeoutMs: context.options.timeoutMs, signal: context.signal });
    say(`[reset] Removed member ${formatMemberId(id)} from the cluster`);
  });
}

/** Of programs only the links that an `init` has made. */
function removeTools({ settings, options, say }: PhaseContext): void {
  for (const name of ['etcd', 'etcdctl']) {
    const path = installedProgram(settings, name);
    const isLink = lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;
    if (!isLink || dirname(readlinkSync(path)) !== options.ownPrograms) continue;
    rmSync(path);
    say(`[reset] Removed ${join(settings.installDir, name)}`);
  }
  for (const path of [PLACES.etcdctlEnvironment, join(settings.installDir, 'etcdctl.sh')]) {
    if (removeFile(placed(settings, path))) say(`[reset] Removed ${path}`);
  }
}
