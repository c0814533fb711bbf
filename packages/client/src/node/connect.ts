/** A client with everything that Node gives it. */
import { type Clock, SeededRandom, type Timer } from '@etcd/base';
import { NodeClock } from '@etcd/base/node';
import { EtcdClient } from '../client.ts';
import type { ClientOptions } from '../options.ts';
import { NodeConnector, type TlsOptions } from './node-connector.ts';

export interface ConnectOptions
  extends Partial<Omit<ClientOptions, 'connector' | 'clock' | 'connectionClock' | 'random'>> {
  /** For endpoints with `https` or `unixs`; endpoints without a scheme use it when it is there. */
  readonly tls?: TlsOptions | undefined;
}

const DEFAULT_ENDPOINTS: readonly string[] = ['127.0.0.1:2379'];

/** Connects on the first call. */
export function connect(options: ConnectOptions = {}): EtcdClient {
  const { tls, ...rest } = options;
  return new EtcdClient({
    healthChecks: true,
    ...rest,
    endpoints: options.endpoints ?? DEFAULT_ENDPOINTS,
    connector: new NodeConnector(tls),
    clock: new WaitingClock(),
    connectionClock: new NodeClock(),
    // It only spreads what clients would otherwise do all at once; the system's random numbers take long to load.
    random: new SeededRandom(process.pid ^ Math.trunc(performance.timeOrigin * 1000)),
  });
}

/** Whoever waits here is waited for: the process lives on, as it does for an open socket. */
class WaitingClock implements Clock {
  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }
}
