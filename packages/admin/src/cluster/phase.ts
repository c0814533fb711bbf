/** Steps of `init` and `join`, which can be run one by one. Each finds what those before it have done. */
import type { Invocation } from '@etcd/host/cli';
import { ClientAccess, hostConnection } from './cluster-access.ts';
import { ClusterError } from './cluster-error.ts';
import type { InitialCluster } from './environment.ts';
import type { Service } from './service.ts';
import { placed, type Settings } from './settings.ts';

export interface PhaseOptions {
  /** Of a member of the cluster that is joined; empty for `init`. */
  readonly endpoint: string;
  /** A snapshot to begin with; empty for none. */
  readonly snapshot: string;
  readonly skipHashCheck: boolean;
  /** Whether what is in the way of a new data directory may be deleted. */
  readonly removesData: boolean;
  /** Whether a membership that is refused for the moment is asked for again. */
  readonly retries: boolean;
  /** How long the member may take until it is healthy, and in sync. */
  readonly timeoutMs: number;
  /** Directory of the programs that come with this one. */
  readonly ownPrograms: string;
  /** The call, for what is handed on to another command. */
  readonly invocation: Invocation;
}

export interface PhaseContext {
  readonly settings: Settings;
  readonly options: PhaseOptions;
  readonly service: Service;
  readonly signal: AbortSignal;
  say(text: string): void;
  warn(text: string): void;
  /** What the member begins with, once a phase has found it out. */
  initial: InitialCluster | null;
  /** Id of the member that joins, once it is known. */
  memberId: bigint | null;
}

export interface Phase {
  readonly name: string;
  readonly summary: string;
  readonly run: (context: PhaseContext) => void | Promise<void>;
}

export async function runPhases(phases: readonly Phase[], context: PhaseContext): Promise<void> {
  for (const phase of phases) {
    context.signal.throwIfAborted();
    await phase.run(context);
  }
}

/** A client as which this host is let in. Throws {@link ClusterError} where it has no certificate yet. */
export async function withCluster<T>(
  {
    settings,
    options,
  }: Pick<PhaseContext, 'settings'> & { readonly options: Pick<PhaseOptions, 'timeoutMs'> },
  endpoints: readonly string[],
  use: (access: ClientAccess) => Promise<T>,
): Promise<T> {
  const connection = hostConnection(placed(settings, settings.certsDir));
  if (connection === null) {
    throw new ClusterError(
      `[certificates] there is no certificate of a client in ${settings.certsDir}: run the phase certificates first`,
    );
  }
  const access = new ClientAccess(endpoints, {
    ...connection,
    timeoutMs: Math.min(options.timeoutMs, REQUEST_MS),
    dialTimeoutMs: DIAL_MS,
  });
  try {
    return await use(access);
  } finally {
    access.close();
  }
}

/** Of one request; what takes longer is asked for again. */
const REQUEST_MS = 10_000;
const DIAL_MS = 5_000;
