/** Tells systemd that the member serves: one datagram, `READY=1`, as units with `Type=notify` wait for. */
import type { Logger } from '@etcd/base';
import type { SendResult } from './node-libc.ts';

export interface NotifyOptions {
  /** `$NOTIFY_SOCKET`; absent where no init system waits. */
  readonly socketPath: string | undefined;
  readonly logger: Logger;
  readonly send: (path: string, bytes: Uint8Array) => SendResult;
}

/** Call once, after the member has joined its cluster and its listeners serve. */
export function notifySystemd({ socketPath, logger, send }: NotifyOptions): void {
  logger.info('notifying init daemon');
  if (socketPath !== undefined && socketPath !== '') {
    const { error } = send(socketPath, Buffer.from('READY=1'));
    if (error !== undefined) {
      logger.error('failed to notify systemd for readiness', { error });
      return;
    }
  }
  logger.info('successfully notified init daemon');
}
