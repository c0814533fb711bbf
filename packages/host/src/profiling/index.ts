/**
 * What a running program tells of its processor time, its heap and what it waits for: in V8's own formats ({@link recordCpuProfile},
 * {@link HeapSampler}), and in that of pprof. Load it when it is asked for: a program that nobody looks into should not carry it.
 */
export { activeResources, threadNames } from './activity.ts';
export { recordCpuProfile } from './cpu-profile.ts';
export { HeapSampler } from './heap-sampler.ts';
export { countsToPprof, cpuToPprof, heapToPprof } from './pprof.ts';
