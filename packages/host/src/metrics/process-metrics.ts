/** The metrics of the process that Go's client library has and prom-client lacks. Read at each scrape. */
import {
  addressSpaceLimit,
  descriptorCount,
  descriptorLimit,
  networkBytes,
  readNetstat,
} from '../process/index.ts';
import type { Counter, Gauge } from './metric.ts';
import { nextTurn } from './next-turn.ts';

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

/** In pieces, with turns for others between them: each is a question to the system. */
export async function readProcessFacts(handles: ProcessHandles): Promise<void> {
  handles.osFdUsed.set(descriptorCount() ?? 0);
  await nextTurn();
  handles.osFdLimit.set(descriptorLimit() ?? NO_LIMIT);
  await nextTurn();
  handles.processVirtualMemoryMaxBytes.set(addressSpaceLimit() ?? NO_LIMIT);
  await nextTurn();
  const network = networkBytes(readNetstat());
  if (network === null) return;
  handles.processNetworkReceiveBytesTotal.value = network.received;
  handles.processNetworkTransmitBytesTotal.value = network.sent;
}
