/** What the operator counts. */
import {
  counters,
  createRegistry,
  type Definition,
  exponentialBounds,
  gauge,
  gauges,
  type Handle,
  handleFamily,
  histogram,
  type ScrapeRegistry,
} from '@etcd/host/metrics';
import type { Phase } from '../cluster/action.ts';

const PHASES: readonly Phase[] = ['Creating', 'Available', 'Progressing', 'Degraded', 'Paused', 'Deleting'];

const TABLE = {
  actions: counters('etcd_operator_actions_total', 'Actions that were taken on clusters.', ['action']),
  failures: counters('etcd_operator_action_failures_total', 'Actions that were refused, or not answered.', [
    'action',
  ]),
  apiCalls: counters('etcd_operator_api_calls_total', 'Calls to the API server, without watches.', [
    'method',
  ]),
  looks: histogram(
    'etcd_operator_attend_duration_seconds',
    'How long it took to attend to a resource.',
    exponentialBounds(0.001, 4, 9),
  ),
  clusters: gauges('etcd_operator_clusters', 'Clusters, by their phase.', ['phase']),
  newestBackup: gauges(
    'etcd_operator_newest_backup_timestamp_seconds',
    'When the newest good backup of a cluster was made.',
    ['namespace', 'name'],
  ),
  isLeader: gauge('etcd_operator_is_leader', 'Whether this operator is the one that works.'),
} satisfies Record<string, Definition>;

type Handles = { readonly [K in keyof typeof TABLE]: ReturnType<(typeof TABLE)[K]['create']> };

export class OperatorMetrics {
  readonly handles: Handles;
  /** By cluster. */
  readonly #phases = new Map<string, Phase>();
  #registry: Promise<ScrapeRegistry> | null = null;

  constructor() {
    const made = Object.entries(TABLE).map(([key, definition]) => [key, definition.create()]);
    this.handles = Object.fromEntries(made) as Handles;
    for (const phase of PHASES)
      this.handles.clusters
        .labels(phase)
        .readFrom(() => [...this.#phases.values()].filter((each) => each === phase).length);
  }

  /** @param phase null: the cluster is gone. */
  setPhase(cluster: string, phase: Phase | null): void {
    if (phase === null) this.#phases.delete(cluster);
    else this.#phases.set(cluster, phase);
  }

  /** The body of a scrape, and its type. */
  async scrape(): Promise<{ readonly contentType: string; readonly body: string }> {
    const families = Object.entries(TABLE).map(([key, definition]) =>
      handleFamily(definition, this.handles[key as keyof Handles] as Handle),
    );
    this.#registry ??= createRegistry(families);
    const registry = await this.#registry;
    return { contentType: registry.contentType, body: await registry.metrics() };
  }
}
