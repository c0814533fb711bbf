/** Every case, in the order in which they run. */
import type { BenchCase } from '../case.ts';
import { authLogin, authPut } from './auth.ts';
import { clusterCases } from './cluster.ts';
import { manyConnections } from './connections.ts';
import { costModels } from './cost-model.ts';
import { gatewayCases } from './gateway.ts';
import { tlsHandshakes } from './handshakes.ts';
import { killStorm } from './kill-storm.ts';
import { range10k, rangeStream10k } from './large-range.ts';
import { memory1m } from './memory.ts';
import { proxyWatch1000 } from './proxy.ts';
import { requestCases, secureRequestCases } from './requests.ts';
import { scrape100k, scrapeTurns } from './scrape.ts';
import { stall5m } from './stall.ts';
import { start } from './start.ts';
import { steadyMemory } from './steady-memory.ts';
import { shortCommands, snapshotTools } from './tools.ts';
import { tracingCase } from './tracing.ts';
import { kubernetesDays, watch200 } from './watch.ts';
import { watchIdle } from './watch-idle.ts';
import { syncFloor, writtenBytesCase } from './written.ts';

export const CASES: readonly BenchCase[] = [
  ...requestCases,
  ...secureRequestCases,
  authPut,
  authLogin,
  ...gatewayCases,
  tlsHandshakes,
  watch200,
  watchIdle,
  ...kubernetesDays,
  proxyWatch1000,
  range10k,
  rangeStream10k,
  start,
  scrape100k,
  scrapeTurns,
  tracingCase,
  steadyMemory,
  memory1m,
  stall5m,
  ...clusterCases,
  manyConnections,
  writtenBytesCase,
  syncFloor,
  killStorm,
  ...costModels,
  shortCommands,
  snapshotTools,
];
