/**
 * What a service and systemd tell each other: that it serves ({@link notifySystemd}), that it stops, that it reads its files again, that
 * it is alive (where a unit has `WatchdogSec=`), and which sockets the init system has opened for it (where there is a `.socket` unit).
 */
import type { Clock, Logger } from '@etcd/base';
import type { SendResult } from './node-libc.ts';
import { notifySystemd } from './notify-systemd.ts';

export interface InitSystemOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly send: (path: string, bytes: Uint8Array) => SendResult;
  /** Of the kernel's monotonic clock, in microseconds. */
  readonly monotonicUsec: () => bigint;
}

/** A socket that the init system listens on, and the name that it has in its unit (`FileDescriptorName=`). */
export interface HandedSocket {
  readonly descriptor: number;
  readonly name: string;
}

/** As sd_listen_fds(3) has it. */
const FIRST_DESCRIPTOR = 3;
const MAX_HANDED_SOCKETS = 64;
const NO_NAME = 'unknown';

export class InitSystem {
  readonly #options: InitSystemOptions;
  /** Whether readiness was told: before that a reload must not be taken for it. */
  #isReady = false;
  /** Whether the last thing that was told did not arrive. */
  #isDeaf = false;

  constructor(options: InitSystemOptions) {
    this.#options = options;
  }

  /** The member serves. Once, after it has joined its cluster. */
  ready(): void {
    const { environment, logger, send } = this.#options;
    notifySystemd({ socketPath: environment['NOTIFY_SOCKET'], logger, send });
    this.#isReady = true;
    this.#startWatchdog();
  }

  /** Says from now on that the process is alive: often enough, and only as long as its event loop turns. */
  #startWatchdog(): void {
    const intervalMs = this.#watchdogIntervalMs();
    if (intervalMs === null) return;
    const { clock, logger } = this.#options;
    logger.info('the init system is told that the process is alive', { 'interval-ms': intervalMs });
    const beat = (): void => {
      this.#tell('WATCHDOG=1');
      clock.setTimer(intervalMs, beat);
    };
    beat();
  }

  /** It goes on, and reads its files again. */
  reloading(): void {
    if (this.#isReady) this.#tell(`RELOADING=1\nMONOTONIC_USEC=${this.#options.monotonicUsec()}`);
  }

  reloaded(): void {
    if (this.#isReady) this.#tell('READY=1');
  }

  /** It is alive meanwhile; how long that may take is up to the unit. */
  stopping(): void {
    this.#tell('STOPPING=1');
  }

  /** null: nobody asks for signs of life, or not of this process. */
  #watchdogIntervalMs(): number | null {
    const { environment, pid } = this.#options;
    const usec = Number(environment['WATCHDOG_USEC'] ?? '');
    const ofPid = environment['WATCHDOG_PID'];
    if (!Number.isFinite(usec) || usec <= 0) return null;
    if (ofPid !== undefined && ofPid !== '' && Number(ofPid) !== pid) return null;
    return Math.max(1, Math.floor(usec / 2000));
  }

  #tell(text: string): void {
    const { environment, logger, send } = this.#options;
    const path = environment['NOTIFY_SOCKET'] ?? '';
    if (path === '') return;
    const { error } = send(path, Buffer.from(text));
    // One line for as long as it lasts; but whoever was only too busy to listen gets the next sign of life, and ends no process for the lack of it.
    if (error !== undefined && !this.#isDeaf) {
      logger.error('failed to notify systemd', { error, state: text.split('\n')[0] });
    }
    this.#isDeaf = error !== undefined;
  }
}

/** The sockets that are handed to this process, as sd_listen_fds(3) has it. None where they are another's. */
export function handedSockets(
  environment: Readonly<Record<string, string | undefined>>,
  pid: number,
): HandedSocket[] {
  if (Number(environment['LISTEN_PID'] ?? '') !== pid) return [];
  const count = Number(environment['LISTEN_FDS'] ?? '');
  if (!Number.isInteger(count) || count <= 0 || count > MAX_HANDED_SOCKETS) return [];
  const names = (environment['LISTEN_FDNAMES'] ?? '').split(':');
  return Array.from({ length: count }, (_, i) => ({
    descriptor: FIRST_DESCRIPTOR + i,
    name: names[i] || NO_NAME,
  }));
}
