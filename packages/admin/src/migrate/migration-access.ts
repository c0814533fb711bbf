/** What a migration asks of members beyond their membership: hashes, the cluster's version, what they run on. */

import { ClientAccess } from '../cluster/cluster-access.ts';
import { isFromCluster } from '../cluster/transient.ts';
import { getText } from '../doctor/http-probe.ts';
import type { ComparedHash, MigrationAccess } from './migrate.ts';

const HTTP_TIMEOUT_MS = 10_000;

export class ClientMigrationAccess extends ClientAccess implements MigrationAccess {
  async hashAt(endpoint: string, revision: number): Promise<ComparedHash | null> {
    try {
      const { hash, compactRevision } = await this.at(endpoint).maintenance.hashKv(revision);
      return { hash, compactRevision };
    } catch (error) {
      if (isFromCluster(error)) return null;
      throw error;
    }
  }

  async clusterVersion(endpoints: readonly string[]): Promise<string | null> {
    for (const endpoint of endpoints) {
      const text = await getText(`${endpoint}/version`, this.tls, HTTP_TIMEOUT_MS);
      const version = text === null ? null : /"etcdcluster":\s*"(\d+\.\d+)/.exec(text)?.[1];
      if (version !== undefined && version !== null) return version;
    }
    return null;
  }

  async runtime(endpoint: string): Promise<string | null> {
    const text = await getText(`${endpoint}/metrics`, this.tls, HTTP_TIMEOUT_MS);
    return /^etcd_server_go_version\{server_go_version="([^"]*)"\} 1$/m.exec(text ?? '')?.[1] ?? null;
  }
}
