/** What both proxies want of their process: a log as etcd's default one, an orderly end, and to say when they serve. */
import type { Clock } from '@etcd/base';
import { exitAtOnce, NodeClock } from '@etcd/base/node';
import { createLogger, defaultLogSink, type EtcdLogger } from '@etcd/host/logging';
import {
  connectionLimit,
  descriptorLimit,
  holdProcess,
  Lifecycle,
  notifySystemd,
  repairUmask,
  sendUnixDatagram,
  setProcessName,
} from '@etcd/host/process';

const SHUTDOWN_LIMIT_MS = 10_000;

export class ProxyProcess {
  readonly clock: Clock = new NodeClock();
  readonly logger: EtcdLogger;
  readonly lifecycle: Lifecycle;

  constructor(level: 'debug' | 'info') {
    setProcessName('etcd');
    repairUmask();
    const timezoneOffsetMinutes = (wallMs: number): number => new Date(wallMs).getTimezoneOffset();
    const { clock } = this;
    this.logger = createLogger({ level, sink: defaultLogSink(clock), clock, timezoneOffsetMinutes });
    this.lifecycle = new Lifecycle({
      process,
      logger: this.logger,
      clock,
      shutdownLimitMs: SHUTDOWN_LIMIT_MS,
      hold: holdProcess,
      exit: exitAtOnce,
    });
    this.lifecycle.install();
  }

  /** How many connections of clients there may be, if each takes so many descriptors; null: any number. */
  connectionLimit(descriptorsEach: number): number | null {
    const limit = connectionLimit(descriptorLimit());
    return limit === null ? null : Math.floor(limit / descriptorsEach);
  }

  notifyReady(): void {
    notifySystemd({
      socketPath: process.env['NOTIFY_SOCKET'],
      logger: this.logger.child({ caller: 'proxy/main' }),
      send: sendUnixDatagram,
    });
  }
}

/** A proxy serves until a signal ends its process. */
export function forever(): Promise<never> {
  return new Promise(() => {});
}
