/** The phases that `init` and `join` share. */
import { existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { RPC_ERRORS } from '@etcd/api';
import { isError } from '@etcd/client';
import { ClusterError } from './cluster-error.ts';
import { etcdctlEnvironment, etcdctlWrapper } from './environment.ts';
import { writeWhole } from './files.ts';
import { pause } from './guarded.ts';
import { ensureCertificates } from './local-certificates.ts';
import { type Phase, type PhaseContext, withCluster } from './phase.ts';
import { installedProgram, runCommand } from './service.ts';
import { PLACES, placed } from './settings.ts';

const PROGRAMS = ['etcd', 'etcdctl'] as const;
const POLL_MS = 250;
const HEALTH_KEY = 'health';

export const INSTALL: Phase = {
  name: 'install',
  summary: 'Puts the programs in their place, unless some are there',
  async run({ settings, options, say }) {
    if (settings.initSystem === 'kubelet')
      return say(`[install] The kubelet will take the image ${settings.image}`);
    for (const name of PROGRAMS) {
      const path = installedProgram(settings, name);
      if (existsSync(path)) {
        say(`[install] Using ${join(settings.installDir, name)}`);
        continue;
      }
      const own = join(options.ownPrograms, name);
      if (!existsSync(own)) throw new ClusterError(`[install] there is neither ${path} nor ${own}`);
      mkdirSync(placed(settings, settings.installDir), { recursive: true });
      symlinkSync(own, path);
      say(`[install] ${join(settings.installDir, name)} is now a link to ${own}`);
    }
    const path = installedProgram(settings, 'etcd');
    const { code, output } = await runCommand(path, ['--version']);
    const version = /etcd Version: (\S+)/.exec(output)?.[1];
    if (code !== 0 || version === undefined)
      throw new ClusterError(`[install] ${path} --version says nothing of an etcd`);
    say(`[install] etcd ${version}`);
  },
};

export function certificatesPhase(makesAuthority: boolean): Phase {
  return {
    name: 'certificates',
    summary: 'Makes the certificates that are missing',
    run: ({ settings, say }) => ensureCertificates(settings, makesAuthority, say),
  };
}

export function startPhase(prepare: (context: PhaseContext) => void | Promise<void>): Phase {
  return {
    name: 'start',
    summary: 'Starts the member, now and with the host',
    async run(context) {
      await prepare(context);
      const { settings, service, initial, say } = context;
      if (initial === null)
        throw new ClusterError('[start] nothing is known of the cluster: run the phase configure first');
      mkdirSync(placed(settings, settings.dataDir), { recursive: true, mode: 0o700 });
      // A pod is what was configured; a unit reads it.
      service.configure(initial);
      say(`[start] Starting ${service.title}`);
      await service.start();
    },
  };
}

export const ETCDCTL: Phase = {
  name: 'etcdctl',
  summary: 'Lets etcdctl in on this host',
  run({ settings, say }) {
    writeWhole(placed(settings, PLACES.etcdctlEnvironment), etcdctlEnvironment(settings), 0o600);
    if (settings.initSystem === 'kubelet')
      return say(`[etcdctl] For a shell: . ${PLACES.etcdctlEnvironment}`);
    const wrapper = join(settings.installDir, 'etcdctl.sh');
    writeWhole(placed(settings, wrapper), etcdctlWrapper(settings), 0o755);
    say(`[etcdctl] ${wrapper} talks to the member on this host`);
  },
};

export const HEALTH: Phase = {
  name: 'health',
  summary: 'Waits until the member on this host is healthy',
  async run(context) {
    const { settings, options, signal, say } = context;
    const deadline = Date.now() + options.timeoutMs;
    say(`[health] Asking ${settings.clientUrl}`);
    await withCluster(context, [settings.clientUrl], async ({ client }) => {
      for (;;) {
        try {
          await client.kv.get(HEALTH_KEY, { signal });
          break;
        } catch (error) {
          // Who may not read the key has heard from a quorum all the same.
          if (
            isError(error, RPC_ERRORS.ErrGRPCPermissionDenied) ||
            isError(error, RPC_ERRORS.ErrGRPCUserEmpty)
          )
            break;
          signal.throwIfAborted();
          if (Date.now() > deadline) {
            throw new ClusterError(
              `[health] the member on this host is not healthy: ${(error as Error).message}; ${whereToLook(context)}`,
            );
          }
        }
        await pause(POLL_MS, signal);
      }
    });
    say('[health] The member on this host is healthy');
  },
};

export function whereToLook({ settings }: Pick<PhaseContext, 'settings'>): string {
  return settings.initSystem === 'systemd' ? 'see journalctl -u etcd' : 'see crictl ps -a and crictl logs';
}
