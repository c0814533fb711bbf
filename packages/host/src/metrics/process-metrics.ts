/** The metrics of the process that Go's client library has and prom-client lacks. Read at each scrape. */
import {
  addressSpaceLimit,
  descriptorCount,
  descriptorLimit,
  networkBytes,
  readNetstat,
} from '../process/index.ts';
import type { Counter, Gauge } from './metric.ts';

/** Where the facts go. */
export interface ProcessHandles {
  readonly osFdUsed: Gauge;
  readonly osFdLimit: Gauge;
  readonly processVirtualMemoryMaxBytes: Gauge;
  readonly processNetworkReceiveBytesTotal: Counter;
  readonly processNetworkTransmitBytesTotal: Counter;
}

/** Go's way to say that there is no limit. */
const NO_LIMIT = 2 ** 64;

export function readProcessFacts(handles: ProcessHandles): void {
  handles.osFdUsed.set(descriptorCount() ?? 0);
  handles.osFdLimit.set(descriptorLimit() ?? NO_LIMIT);
  handles.processVirtualMemoryMaxBytes.set(addressSpaceLimit() ?? NO_LIMIT);
  const network = networkBytes(readNetstat());
  if (network === null) return;
  handles.processNetworkReceiveBytesTotal.value = network.received;
  handles.processNetworkTransmitBytesTotal.value = network.sent;
}
