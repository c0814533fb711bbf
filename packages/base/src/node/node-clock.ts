/** Node's clocks and timers as a {@link Clock}. */
import type { Clock, Timer } from '../clock.ts';

export class NodeClock implements Clock {
  now(): number {
    return performance.now();
  }

  wallNow(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const handle = setTimeout(callback, delayMs);
    // A pending timer alone is no reason to keep a process running: listeners and files in use are.
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  }

  defer(callback: () => void): void {
    setImmediate(callback);
  }
}
