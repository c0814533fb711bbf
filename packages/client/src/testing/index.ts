/** For tests of what stands on the client: a cluster in memory on simulated time, and a history that it lets be watched. */
export { FakeCluster, type FakeServer, type SteppedClock } from './fake-cluster.ts';
export { FakeHistory } from './fake-history.ts';
