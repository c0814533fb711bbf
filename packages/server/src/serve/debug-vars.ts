/** `/debug/vars`: what Go programs tell of themselves as JSON (`expvar`), as far as there is anything of the kind here. */
import { memoryStatistics } from '@etcd/host/metrics';
import { descriptorLimit } from '@etcd/host/process';
import { maskArguments } from '../config/index.ts';
import type { HealthFacts } from './health-facts.ts';

export function debugVars(member: Pick<HealthFacts, 'raftStatus'>): string {
  const { alloc, heapSys, heapInuse, heapIdle, sys } = memoryStatistics();
  const vars: [string, string][] = [
    ['cmdline', JSON.stringify(['etcd', ...maskArguments(process.argv.slice(2))])],
    ['file_descriptor_limit', JSON.stringify(descriptorLimit() ?? 0)],
    [
      'memstats',
      JSON.stringify({
        Alloc: alloc,
        Sys: sys,
        HeapAlloc: alloc,
        HeapSys: heapSys,
        HeapIdle: heapIdle,
        HeapInuse: heapInuse,
      }),
    ],
    ['raft.status', member.raftStatus()],
  ];
  return `{\n${vars.map(([name, json]) => `${JSON.stringify(name)}: ${json}`).join(',\n')}\n}\n`;
}
