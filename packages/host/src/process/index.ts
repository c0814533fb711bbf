/**
 * A member as a process of an operating system: the checks before it starts, how it is stopped, what it tells its init system.
 *
 * In the order of a start: {@link repairUmask} and {@link setProcessName}; {@link Lifecycle.install}, from which on every way to
 * end is orderly; {@link prepareDataDirectory}, which refuses what can't be a member's directory before anything is
 * written; then the member itself, whose stop goes to {@link Lifecycle.onShutdown}; and {@link InitSystem.ready} when it serves.
 * {@link handedSockets} are those that the init system has opened; what needs no more of it than to be waited for calls {@link notifySystemd}.
 *
 * Exit codes: 0 after help, version, and a signal as process 1; the signal itself after an orderly stop; 1 for
 * what the operator can set right; 2 for a bug.
 */
export {
  type DataDirectoryContent,
  DataDirectoryError,
  type DataDirectoryErrorCode,
  type DataDirectoryOptions,
  prepareDataDirectory,
} from './data-directory.ts';
export { giveBackAtRest } from './give-back.ts';
export { letSmallHeapGrow } from './heap-growth.ts';
export { type HandedSocket, handedSockets, InitSystem } from './init-system.ts';
export { holdProcess, ignoreSignals, Lifecycle, type LifecycleOptions } from './lifecycle.ts';
export { findLockHolder } from './lock-holder.ts';
export { sendUnixDatagram } from './node-libc.ts';
export { notifySystemd } from './notify-systemd.ts';
export { repairUmask, setProcessName } from './process-setup.ts';
export { type ReadKernelFile, swapGuard } from './swap-guard.ts';
export { systemErrorText } from './system-error.ts';
export {
  addressSpaceLimit,
  connectionLimit,
  descriptorCount,
  descriptorLimit,
  memoryBytes,
  networkBytes,
  RESERVED_DESCRIPTORS,
  readNetstat,
  residentBytes,
  runtimeFields,
  threadCount,
} from './system-facts.ts';
export { keepObjectsYoung } from './young-objects.ts';
