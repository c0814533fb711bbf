/** Connects the metrics of a member with where their values are: most are read when somebody scrapes, not counted before. */

import { assert, type Clock } from '@etcd/base';
import type { GrpcMethodMetrics, Histogram } from '@etcd/host/metrics';
import { formatId } from '@etcd/storage/membership';
import type { WatchHub } from '@etcd/storage/mvcc';
import type { CallObserver, CallTrace, GrpcMethod, GrpcServer } from '@etcd/transport';
import type { Metrics } from '../metrics/index.ts';
import type { EtcdServer } from './etcd-server.ts';

/** By the number of the kind in the transport. */
const CALL_TYPES = ['unary', 'server_stream', 'client_stream', 'bidi_stream'] as const;

/** Returns what has to be called before each scrape. */
export function connectMetrics(server: EtcdServer, grpc: GrpcServer, metrics: Metrics): () => void {
  const { handles } = metrics;
  const { store } = server;
  handles.serverId.labels(formatId(server.memberId)).set(1);
  handles.quotaBackendBytes.set(Number.isFinite(server.quota.limitBytes) ? server.quota.limitBytes : 0);
  handles.dbTotalSizeBytes.readFrom(() => server.backend.sizeBytes);
  handles.dbTotalSizeInUseBytes.readFrom(() => server.backend.sizeInUseBytes);
  handles.proposalsCommittedTotal.readFrom(() => server.committedIndex);
  handles.proposalsPending.readFrom(() => server.pending.count);
  handles.isLearner.readFrom(() => (server.isLearner ? 1 : 0));
  handles.currentRevision.readFrom(() => store.revision);
  handles.compactRevision.readFrom(() => store.compactRevision);
  handles.keysTotal.readFrom(() => store.index.liveCount);
  handles.dbOpenReadTransactions.readFrom(() => server.backend.database.statistics().openReaders);
  handles.defragInflight.readFrom(() => (server.backend.isDefragmenting ? 1 : 0));
  // As long as authentication was never touched, it is at its first revision.
  handles.authRevision.readFrom(() => server.auth.revision);
  // Before the store is loaded nobody can watch.
  const watching = (count: (hub: WatchHub) => number) => () => (store.isReady ? count(server.watches) : 0);
  handles.watchStreamTotal.readFrom(watching((hub) => hub.streamCount));
  handles.watcherTotal.readFrom(watching((hub) => hub.watcherCount));
  handles.slowWatcherTotal.readFrom(watching((hub) => hub.laggingCount));
  const methods = [...grpc.methods].map((method) => {
    const type = CALL_TYPES[method.kind];
    assert(type !== undefined, 'metrics: a method of a kind that is not known');
    const target = metrics.grpc.register(method.service, method.name, type);
    const { handlingSeconds } = target;
    if (handlingSeconds !== null) method.observer = new HandlingTimes(server.clock, handlingSeconds);
    return { method, target };
  });
  return () => {
    let sent = 0;
    let received = 0;
    for (const { method, target } of methods) {
      copyCounts(method, target);
      sent += method.bytesSent;
      received += method.bytesReceived;
    }
    handles.clientGrpcSentBytesTotal.value = sent;
    handles.clientGrpcReceivedBytesTotal.value = received;
  };
}

/** `--metrics=extensive`: how long each call takes, from its head to its status. */
class HandlingTimes implements CallObserver {
  readonly #clock: Clock;
  readonly #seconds: Histogram;

  constructor(clock: Clock, seconds: Histogram) {
    this.#clock = clock;
    this.#seconds = seconds;
  }

  begin(): CallTrace {
    const clock = this.#clock;
    const startMs = clock.now();
    return { onEnd: () => this.#seconds.observe((clock.now() - startMs) / 1000) };
  }
}

function copyCounts(method: GrpcMethod, target: GrpcMethodMetrics): void {
  target.started = method.started;
  target.received = method.messagesReceived;
  target.sent = method.messagesSent;
  target.handled.set(method.handled);
}
