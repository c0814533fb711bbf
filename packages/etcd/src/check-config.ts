/** `etcd --check-config`: what can be known of a start without starting anything, beyond what the settings themselves say. */
import type { Clock, Logger } from '@etcd/base';
import { hasCertificate, TlsError, type TlsFiles, TlsSide } from '@etcd/host/tls';
import type { Config } from '@etcd/server/config';
import { backupProblem } from '@etcd/server/serve';

/** What is wrong with the files that the settings name, a line for each. Nothing is written. */
export async function fileProblems(
  config: Config,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<string[]> {
  const problems: string[] = [];
  const { client, peer, protocol } = config.tls;
  for (const [side, files] of [
    ['client', client],
    ['peer', peer],
  ] as const) {
    if (!isUsed(files)) continue;
    try {
      await TlsSide.open({ files, protocol, clock, logger });
    } catch (error) {
      if (!(error instanceof TlsError)) throw error;
      problems.push(`${side} TLS: ${error.message}`);
    }
  }
  const backup = await backupProblem({ config, clock, logger });
  if (backup !== null) problems.push(backup);
  return problems;
}

function isUsed(files: TlsFiles): boolean {
  return hasCertificate(files) || files.trustedCaFile !== '' || files.clientCertFile !== '';
}
