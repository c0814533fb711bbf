/**
 * The real world for `@etcd/base`'s interfaces: Node's clock, file system and random numbers. Only programs, benchmarks
 * and tests import this; everything else is handed what it needs.
 */

export { exitAtOnce } from './libc.ts';
export { NodeClock } from './node-clock.ts';
export { NodeDisk } from './node-disk.ts';
export { NodeRandom } from './node-random.ts';
