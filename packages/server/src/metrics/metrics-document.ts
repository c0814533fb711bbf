/**
 * `docs/metrics.md`, written from the metric table. Run this file to write it anew:
 * `node packages/server/src/metrics/metrics-document.ts`.
 */
import { writeFileSync } from 'node:fs';
import type { Definition } from '@etcd/host/metrics';
import { Family, goFamilies } from '@etcd/host/metrics';
import { markdownTable } from '../config/index.ts';
import { ABSENT_METRICS } from './absent-metrics.ts';
import { METRIC_TABLE } from './metric-table.ts';

export function metricsDocument(): string {
  return `# Metrics

<!-- Written by packages/server/src/metrics/metrics-document.ts; change the table there. -->

\`/metrics\` on the client URLs (or on \`--listen-client-http-urls\`), and on \`--listen-metrics-urls\`, in the text format of
Prometheus. Names, types, labels and bucket bounds are etcd's, so its dashboards and alerts work unchanged, also where Go
members and these are added up; the help texts are our own.

- A metric with labels shows its series from the first event on, as in etcd. Values of labels that clients choose are
  bounded: after 1000 series of a metric, further ones are counted together as \`other\`.
- \`grpc_server_handling_seconds\` is there with \`--metrics=extensive\` only.
- \`etcd_mvcc_range_total\` counts what clients and health checks read. etcd adds what it reads for itself: to compare, to give
  previous pairs, after a compaction.
- A scrape costs about 3 ms of CPU, and is made in slices, between which requests have their turns. Nothing is measured for it between scrapes but what the process would count anyway.

## In place of Go's own

\`go_*\` metrics describe a runtime that is not there. Those that mean something here all the same, and that dashboards read, are there under
their names: ${goNames()}. These tell the rest of Node:

${goReplacements()}

\`process_cpu_seconds_total\`, \`process_open_fds\`, \`process_max_fds\`, \`process_resident_memory_bytes\`,
\`process_start_time_seconds\` and \`process_virtual_memory_bytes\` mean what they mean everywhere. \`etcd_server_go_version\` names this
implementation and its Node.

## gRPC

${grpcTable()}

## etcd

${etcdTable()}

## What is not here

${absentTable()}
`;
}

function goNames(): string {
  return goFamilies()
    .map(({ name }) => `\`${name}\``)
    .join(', ');
}

function absentTable(): string {
  const rows = Object.entries(ABSENT_METRICS).map(([name, reason]) => [`\`${name}\``, reason]);
  return markdownTable(['metric', 'why'], rows).join('\n');
}

function goReplacements(): string {
  const rows = [
    ['`go_info`', '`nodejs_version_info`'],
    ['`go_memstats_heap_objects`', '`nodejs_heap_size_used_bytes`: bytes of objects'],
    ['`go_goroutines`, by kind', '`nodejs_active_resources`'],
    ['scheduler latency', '`nodejs_eventloop_lag_p99_seconds`, `nodejs_eventloop_lag_max_seconds`'],
  ];
  return markdownTable(['Go', 'here'], rows).join('\n');
}

function grpcTable(): string {
  const labels = 'grpc_method, grpc_service, grpc_type';
  const rows = [
    ['`grpc_server_started_total`', 'counter', labels],
    ['`grpc_server_handled_total`', 'counter', `grpc_code, ${labels}`],
    ['`grpc_server_msg_received_total`', 'counter', labels],
    ['`grpc_server_msg_sent_total`', 'counter', labels],
    ['`grpc_server_handling_seconds`', 'histogram', labels],
  ];
  return markdownTable(['metric', 'type', 'labels'], rows).join('\n');
}

function etcdTable(): string {
  const definitions: Definition[] = Object.values(METRIC_TABLE);
  const rows = definitions
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, type, help, create }) => {
      const handle = create();
      const labels = handle instanceof Family ? handle.labelNames.join(', ') : '';
      return [`\`${name}\``, type, labels, help];
    });
  return markdownTable(['metric', 'type', 'labels', 'meaning'], rows).join('\n');
}

if (import.meta.main) {
  writeFileSync(new URL('../../../../docs/metrics.md', import.meta.url), metricsDocument());
}
