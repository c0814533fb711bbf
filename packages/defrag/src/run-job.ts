/**
 * The job from the flags to the last line: look at the whole, compact, then one member after the other, the leader last, so that the
 * cluster has a leader for as long as possible.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatGoDuration } from '@etcd/host/args';
import { connectionOptions, ExitError, endpointsFrom, type FlagValues } from '@etcd/host/cli';
import { disarm } from './disarm.ts';
import { describeHealth, healthOf } from './health.ts';
import type { JobLog } from './job-log.ts';
import { type JobOptions, jobOptions, OptionsError, ruleOf } from './job-options.ts';
import { describeStatus, isLeader, type MemberStatus, Members } from './members.ts';
import { type Rule, RuleError } from './rule/index.ts';

/** Resolves with whether everything went well; what did not is in the log. */
export async function runJob(flags: FlagValues, log: JobLog): Promise<boolean> {
  if (flags.bool('dry-run')) log.line('Using dry run mode, will not perform defragmentation');
  log.line('Validating configuration.');
  try {
    const options = jobOptions(flags);
    const rule = readRule(flags, log);
    const members = new Members(options, await connectionOptions(flags), await givenEndpoints(flags, log));
    return await new Job(members, rule, log).run();
  } catch (error) {
    if (!isForUser(error)) throw error;
    log.line(`Validating configuration failed: ${error.message}`);
    return false;
  }
}

function isForUser(error: unknown): error is Error {
  return error instanceof OptionsError || error instanceof RuleError || error instanceof ExitError;
}

function readRule(flags: FlagValues, log: JobLog): Rule {
  const text = flags.text('defrag-rule');
  if (text === '') {
    log.line('No defragmentation rule provided');
    return ruleOf(flags);
  }
  log.line(`Validating the defragmentation rule: ${text} ... `);
  try {
    const rule = ruleOf(flags);
    log.line('valid');
    return rule;
  } catch (error) {
    if (!(error instanceof RuleError)) throw error;
    log.line('invalid');
    throw new RuleError(`invalid rule ${JSON.stringify(text)}, error: ${error.message}`);
  }
}

async function givenEndpoints(flags: FlagValues, log: JobLog): Promise<readonly string[]> {
  const endpoints = await endpointsFrom(flags, (text) => log.line(text));
  if (endpoints.length === 0) throw new OptionsError('no endpoints provided');
  return endpoints;
}

/** What became of one member. A leader that could not hand over is left alone, and is no failure. */
type Outcome = 'done' | 'skipped' | 'left alone' | 'failed';

class Job {
  readonly #members: Members;
  readonly #options: JobOptions;
  readonly #rule: Rule;
  readonly #log: JobLog;

  constructor(members: Members, rule: Rule, log: JobLog) {
    this.#members = members;
    this.#options = members.options;
    this.#rule = rule;
    this.#log = log;
  }

  async run(): Promise<boolean> {
    this.#log.line('Performing health check.');
    if (!(await this.#areHealthy())) return false;
    const statuses = await this.#statuses();
    if (statuses === null) return false;
    const endpoints = leaderLast(statuses);
    await this.#compact(statuses[0]!, endpoints[0]!);
    this.#log.line(`${endpoints.length} endpoint(s) need to be defragmented: [${endpoints.join(' ')}]`);
    let failures = 0;
    for (const [i, endpoint] of endpoints.entries()) {
      const outcome = await this.#defragment(endpoint);
      if (outcome === 'failed') failures++;
      const wentWrong = outcome === 'failed' || outcome === 'left alone';
      if (wentWrong && !this.#options.goesOnAfterErrors) break;
      if (outcome === 'done' && i < endpoints.length - 1) await this.#rest('Waiting');
    }
    if (failures > 0) {
      this.#log.line(`${failures} (total ${endpoints.length}) endpoint(s) failed to be defragmented.`);
      return false;
    }
    this.#log.line('The defragmentation is successful.');
    if (this.#options.disarms && !this.#options.isDryRun) await disarm(this.#members, this.#log);
    return true;
  }

  async #areHealthy(): Promise<boolean> {
    let checked: readonly string[];
    try {
      checked = await this.#members.checked();
    } catch (error) {
      this.#log.line(`Failed to get members' health info: ${(error as Error).message}`);
      return false;
    }
    this.#log.line(
      this.#options.checksGivenOnly
        ? `Health check will be performed only on the explicitly provided endpoints: [${checked.join(' ')}]`
        : 'Health check will be performed on all cluster member endpoints',
    );
    const health = await Promise.all(checked.map((endpoint) => healthOf(this.#members, endpoint)));
    for (const one of health) this.#log.line(describeHealth(one));
    return health.every(({ isHealthy }) => isHealthy);
  }

  async #statuses(): Promise<MemberStatus[] | null> {
    this.#log.line('Getting members status');
    let statuses: MemberStatus[];
    try {
      statuses = await this.#members.statuses();
    } catch (error) {
      this.#log.line(`Failed to get members status: ${(error as Error).message}`);
      return null;
    }
    for (const status of statuses) this.#log.line(describeStatus(status));
    if (statuses.length > 0) return statuses;
    this.#log.line('Failed to get endpoints: no endpoints provided');
    return null;
  }

  /** A compaction that fails leaves less to gain, and is no reason to stop. */
  async #compact({ status }: MemberStatus, endpoint: string): Promise<void> {
    if (!this.#options.compacts || this.#options.isDryRun) return this.#log.line('Skip compaction.');
    const revision = status.header?.revision ?? 0;
    this.#log.line(`Running compaction until revision: ${revision} ... `);
    try {
      await this.#members.use((client) => client.kv.compact(revision, { physical: true }), [endpoint]);
      this.#log.line('successful');
    } catch (error) {
      this.#log.line(`failed, ${(error as Error).message}`);
    }
  }

  async #defragment(endpoint: string): Promise<Outcome> {
    this.#log.line('[Before defragmentation] ');
    const before = await this.#status(endpoint);
    if (before === null) return 'failed';
    const wanted = this.#isWanted(before);
    if (wanted === null) return 'failed';
    if (!wanted) {
      this.#log.line(`Evaluation result is false, so skipping endpoint: ${endpoint}`);
      return 'skipped';
    }
    if (this.#options.isDryRun) {
      this.#log.line(`[Dry run] skip defragmenting endpoint ${JSON.stringify(endpoint)}`);
      return 'skipped';
    }
    if (this.#options.movesLeader && isLeader(before) && !(await this.#moveLeader(before)))
      return 'left alone';
    if (!(await this.#request(endpoint))) return 'failed';
    this.#log.line('[Post defragmentation] ');
    return (await this.#status(endpoint)) === null ? 'failed' : 'done';
  }

  async #request(endpoint: string): Promise<boolean> {
    const quoted = JSON.stringify(endpoint);
    this.#log.line(`Defragmenting endpoint ${quoted}`);
    const start = performance.now();
    const took = (): string => formatGoDuration(performance.now() - start);
    try {
      const { timeoutMs } = this.#options;
      await this.#members.use((client) => client.maintenance.defragment({ timeoutMs }), [endpoint]);
      this.#log.line(`Finished defragmenting etcd endpoint ${quoted}. took ${took()}`);
      return true;
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.line(`Failed to defragment etcd member ${quoted}. took ${took()}. (${reason})`);
      return false;
    }
  }

  async #status(endpoint: string): Promise<MemberStatus | null> {
    try {
      const status = await this.#members.status(endpoint);
      this.#log.line(describeStatus(status));
      return status;
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.line(`Failed to get member (${JSON.stringify(endpoint)}) status, error: ${reason}`);
      return null;
    }
  }

  /** Null when the rule has no answer here. */
  #isWanted({ endpoint, status }: MemberStatus): boolean | null {
    const { dbSize: sizeBytes, dbSizeInUse: sizeInUseBytes } = status;
    try {
      return this.#rule.holds({ sizeBytes, sizeInUseBytes, quotaBytes: this.#options.quotaBytes });
    } catch (error) {
      if (!(error instanceof RuleError)) throw error;
      this.#log.line(`Evaluation failed, endpoint: ${endpoint}, error:${error.message}`);
      return null;
    }
  }

  /** False when leadership stayed where it is: then the leader is left alone. */
  async #moveLeader({ endpoint, status }: MemberStatus): Promise<boolean> {
    this.#log.line('Transferring the leadership from the current leader');
    const leader = status.leader.toString(16);
    try {
      const { members } = await this.#members.use((client) => client.cluster.memberList());
      if (members.length === 1) {
        this.#log.line('Skip moving leader as there is only one member in the cluster');
        return true;
      }
      const successor = members.find(({ id, isLearner }) => id !== status.leader && !isLearner);
      if (successor === undefined) {
        throw new Error(`no follower in the ${members.length} member cluster has a vote`);
      }
      this.#log.line(`Transferring the leadership from ${leader} to ${successor.id.toString(16)}`);
      await this.#members.use((client) => client.maintenance.moveLeader(successor.id), [endpoint]);
    } catch (error) {
      const reason = (error as Error).message;
      this.#log.line(`Failed to transfer the leadership from ${leader} to a follower, error: ${reason}`);
      return false;
    }
    await this.#rest('Transferred the leadership successfully! Waiting');
    return true;
  }

  async #rest(what: string): Promise<void> {
    const { waitMs } = this.#options;
    if (waitMs <= 0) return;
    this.#log.line(`${what} for ${formatGoDuration(waitMs)} for next operation`);
    await sleep(waitMs);
  }
}

function leaderLast(statuses: readonly MemberStatus[]): string[] {
  const followers = statuses.filter((status) => !isLeader(status));
  const leaders = statuses.filter(isLeader);
  return [...followers, ...leaders].map(({ endpoint }) => endpoint);
}
