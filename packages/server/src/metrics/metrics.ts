/**
 * The metrics of one member, and their text for Prometheus. prom-client adds those of the Node process; it
 * is loaded by the first scrape, because a member that nobody scrapes should not pay for it when it starts.
 */

import { loadOnce } from '@etcd/base';
import {
  createRegistry,
  GrpcServerMetrics,
  goFamilies,
  grpcFamilies,
  handleFamily,
  type MetricFamily,
  readProcessFacts,
} from '@etcd/host/metrics';
import type { FeatureGates } from '../config/index.ts';
import { ETCD_VERSION, FEATURE_NAMES, FEATURES, IMPLEMENTATION_NAME } from '../config/index.ts';
import { createHandles, METRIC_TABLE, type MetricHandles } from './metric-table.ts';

export interface MetricsOptions {
  /** `--metrics`. */
  readonly detail: 'basic' | 'extensive';
  readonly featureGates: FeatureGates;
}

export class Metrics {
  readonly handles: MetricHandles = createHandles();
  readonly grpc: GrpcServerMetrics;
  readonly #registry = loadOnce(() => createRegistry(this.#families()));
  #clusterVersion = '';

  constructor({ detail, featureGates }: MetricsOptions) {
    this.grpc = new GrpcServerMetrics(detail === 'extensive');
    const { handles } = this;
    handles.serverVersion.labels(ETCD_VERSION).set(1);
    handles.goVersion.labels(`${IMPLEMENTATION_NAME} node ${process.version}`).set(1);
    for (const name of FEATURE_NAMES) {
      handles.featureEnabled.labels(name, FEATURES[name].stage).set(featureGates[name] ? 1 : 0);
    }
    // Until there is a store, as etcd has it.
    handles.compactRevision.set(-1);
    for (const code of ['200', '500', '503']) handles.scrapesTotal.labels(code);
  }

  /** Makes `version` (as `3.5`) the current one. */
  setClusterVersion(version: string): void {
    const { clusterVersion } = this.handles;
    if (this.#clusterVersion !== '') clusterVersion.labels(this.#clusterVersion).set(0);
    clusterVersion.labels(version).set(1);
    this.#clusterVersion = version;
  }

  /** The body of a scrape, and its content type. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    const { scrapesInFlight, scrapesTotal } = this.handles;
    scrapesInFlight.add(1);
    try {
      const registry = await this.#registry();
      await readProcessFacts(this.handles);
      const text = await registry.metrics();
      scrapesTotal.labels('200').inc();
      return { contentType: registry.contentType, text };
    } catch (error) {
      scrapesTotal.labels('500').inc();
      throw error;
    } finally {
      scrapesInFlight.add(-1);
    }
  }

  #families(): MetricFamily[] {
    const names = Object.keys(METRIC_TABLE) as (keyof typeof METRIC_TABLE)[];
    const own = names.map((name) => handleFamily(METRIC_TABLE[name], this.handles[name]));
    return [...own, ...grpcFamilies(this.grpc), ...goFamilies()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
