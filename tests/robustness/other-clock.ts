/**
 * Loaded before a member of this program by Node (`--import`): its clocks are others than this machine's. The wall clock is off, which may be backwards
 * from one start to the next, and all clocks are slow. They are never fast: leases are promised by the clock of who leads, and the judge has another.
 */
import { performance } from 'node:perf_hooks';

const [offsetMs = 0, rate = 1] = (process.env['TEST_CLOCK'] ?? '').split(',').map(Number);
const RealDate = Date;
const startMs = RealDate.now();
const realNow = performance.now.bind(performance);

function wallMs(): number {
  return Math.floor(startMs + offsetMs + (RealDate.now() - startMs) * rate);
}

performance.now = () => realNow() * rate;
globalThis.Date = new Proxy(RealDate, {
  construct: (target, args) => Reflect.construct(target, args.length === 0 ? [wallMs()] : args),
  apply: () => String(new RealDate(wallMs())),
  get: (target, property) => (property === 'now' ? wallMs : Reflect.get(target, property)),
});
