/**
 * The load generator's process: takes one {@link Job} after another from its parent and answers each with a
 * {@link JobResult}, or with the text of what went wrong. It lives through a whole case, so that its code is warm.
 */
import { cpuTimeUs } from '../subject/process-usage.ts';
import { openChannels } from './connect.ts';
import { driveClosed, driveEach, driveOpen, openSlots, Tally } from './drivers.ts';
import { driveGateway } from './gateway-driver.ts';
import type { Job, JobResult } from './job.ts';
import { requestSource } from './request-source.ts';
import { Watchers } from './watchers.ts';

function totalCpuUs(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuTimeUs(pid), 0);
}

/** How many requests can be in flight. */
function slotsOf({ connections, pace }: Job): number {
  if ('inFlight' in pace) return connections * pace.inFlight;
  return 'eachPerSecond' in pace ? connections : openSlots(connections, pace.perSecond);
}

async function perform(job: Job): Promise<JobResult> {
  const { pace, work, serverPids } = job;
  const channels = await openChannels(job.targets, job.isOverGateway === true ? 0 : job.connections);
  const watchers = job.watch === undefined ? null : await Watchers.open(job.watch, job.targets);
  const source = requestSource(work, slotsOf(job));
  if (job.token !== undefined) source.callOptions = { metadata: [['token', job.token]] };
  const tally = new Tally();
  const serverBeforeUs = totalCpuUs(serverPids);
  const ownBefore = process.cpuUsage();
  const startMs = performance.now();
  if (job.isOverGateway === true && 'inFlight' in pace) {
    await driveGateway(job.targets, job.connections, pace.requests, work, tally);
  } else if ('inFlight' in pace) await driveClosed(channels, pace.inFlight, pace.requests, source, tally);
  else if ('eachPerSecond' in pace) {
    await driveEach(channels, pace.eachPerSecond, pace.seconds, source, tally);
  } else await driveOpen(channels, pace.perSecond, pace.seconds, source, tally);
  if (watchers !== null) await watchers.finished();
  const elapsedMs = performance.now() - startMs;
  const serverCpuUs = totalCpuUs(serverPids) - serverBeforeUs;
  const own = process.cpuUsage(ownBefore);
  watchers?.close();
  for (const channel of channels) channel.close();
  return {
    operations: tally.operations,
    elapsedMs,
    serverCpuUs,
    generatorCpuUs: own.user + own.system,
    answerBytes: tally.answerBytes + (watchers?.answerBytes ?? 0),
    events: watchers?.events ?? 0,
    latency: tally.latencies.summary(),
  };
}

process.on('message', (job: Job) => {
  perform(job).then(
    (result) => process.send!({ result }),
    (error: Error) => process.send!({ error: error.message }),
  );
});
process.on('disconnect', () => process.exit());
