/** `etcdadm join`: makes this host a member of a cluster: a learner first, with a vote when it has caught up. */
import type { Member } from '@etcd/api/etcdserverpb';
import type { ClientAccess } from './cluster-access.ts';
import { ClusterError } from './cluster-error.ts';
import { certificatesPhase, ETCDCTL, HEALTH, INSTALL, startPhase, whereToLook } from './common-phases.ts';
import { type DataState, dataStateOf, removeData } from './data-directory.ts';
import { pause } from './guarded.ts';
import { type Phase, type PhaseContext, withCluster } from './phase.ts';
import { promoteWhenReady } from './promote.ts';
import { clientUrlsOf, formatMemberId, titleOf } from './quorum.ts';
import { placed, type Settings } from './settings.ts';

const ADD_TRIES = 5;
const FIRST_PAUSE_MS = 2_000;

const MEMBERSHIP: Phase = {
  name: 'membership',
  summary: 'Adds the member to the cluster as a learner, unless it is one of it',
  run: joinCluster,
};

const CONFIGURE: Phase = {
  name: 'configure',
  summary: 'Writes what the member is started from',
  async run(context) {
    await joinCluster(context);
    context.service.configure(context.initial!);
    context.say(`[configure] ${context.settings.name} listens on ${context.settings.clientUrl}`);
  },
};

const PROMOTE: Phase = {
  name: 'promote',
  summary: 'Gives the member a vote when it has caught up',
  async run(context) {
    await joinCluster(context);
    await withCluster(context, [context.options.endpoint], async (access) => {
      const { members } = await access.membership();
      access.widen(clientUrlsOf(members));
      const { options, signal, settings, say } = context;
      await promoteWhenReady(access, context.memberId!, {
        title: settings.name,
        timeoutMs: options.timeoutMs,
        whereToLook: whereToLook(context),
        signal,
        say: (text) => say(`[promote] ${text}`),
      });
    });
  },
};

const INSTRUCTIONS: Phase = {
  name: 'post-join-instructions',
  summary: 'Says what comes next',
  async run(context) {
    const { say, options } = context;
    await withCluster(context, [context.settings.clientUrl], async (access) => {
      const { members } = await access.membership();
      const voters = members.filter(({ isLearner }) => !isLearner).length;
      say('');
      say(
        `The cluster has ${voters} members with a vote and survives the loss of ${Math.ceil(voters / 2) - 1}.`,
      );
      say(`Another joins with: etcdadm join ${options.endpoint}`);
      say('How the cluster is: etcdadm doctor');
    });
  },
};

export const JOIN_PHASES: readonly Phase[] = [
  INSTALL,
  certificatesPhase(false),
  MEMBERSHIP,
  CONFIGURE,
  startPhase(joinCluster),
  ETCDCTL,
  PROMOTE,
  HEALTH,
  INSTRUCTIONS,
];

/** What an empty or full data directory means for a member that the cluster knows, or does not. */
export type JoinDecision = 'add' | 'go-on' | { readonly problem: string };

/** `own` is who has this host's peer URL. Nothing is deleted that belongs to a member that has started. */
export function decideJoin(
  own: Member | null,
  data: DataState,
  clusterId: bigint,
  mayRemoveData: boolean,
): JoinDecision {
  const identity = data.kind === 'used' ? data.identity : null;
  if (own !== null && identity?.memberId === own.id && identity.clusterId === clusterId) return 'go-on';
  if (own !== null && own.name !== '') {
    // It may have voted, and told others that it has what it does not have any more.
    return {
      problem: `member ${titleOf(own)} has this host's address and has started before, but its data are not here: etcdadm member replace ${own.name} first`,
    };
  }
  if (data.kind === 'empty' || mayRemoveData) return own === null ? 'add' : 'go-on';
  const whose =
    identity === null
      ? 'is not empty'
      : `has the data of member ${formatMemberId(identity.memberId)} of cluster ${formatMemberId(identity.clusterId)}`;
  return { problem: `${whose}: another --data-dir, or --remove-data to have it deleted` };
}

/** Once: afterwards it is known who this member is and what it begins with. Throws {@link ClusterError}. */
async function joinCluster(context: PhaseContext): Promise<void> {
  if (context.memberId !== null) return;
  const { settings, options, service, say } = context;
  const dataDir = placed(settings, settings.dataDir);
  await withCluster(context, [options.endpoint], async (access) => {
    const { clusterId, members } = await access.membership().catch((error: Error) => {
      throw new ClusterError(
        `[membership] ${options.endpoint} does not say who the members are: ${error.message}`,
      );
    });
    access.widen(clientUrlsOf(members));
    const own = ownMember(members, settings);
    const data = dataStateOf(dataDir);
    const decision = decideJoin(own, data, clusterId, options.removesData);
    if (typeof decision !== 'string')
      throw new ClusterError(`[membership] ${settings.dataDir} ${decision.problem}`);
    const keeps = data.kind === 'used' && own !== null && data.identity?.memberId === own.id;
    if (!keeps) await refuseRunning(context);
    if (own === null) {
      const id = await addLearner(access, context);
      say(`[membership] Added ${settings.name} as learner ${formatMemberId(id)}`);
    } else {
      say(`[membership] The cluster knows this host as ${formatMemberId(own.id)}`);
    }
    // What is asked to go goes when the cluster has taken the member: a refusal costs nothing.
    if (!keeps) makeRoom(context, dataDir, data);
    const known = (await access.membership()).members;
    const self = ownMember(known, settings);
    if (self === null)
      throw new ClusterError('[membership] the cluster does not know this host any more; run it again');
    context.memberId = self.id;
    context.initial = {
      state: 'existing',
      members: initialMembers(known, self.id, settings.name),
      token: null,
    };
  });
  if (await service.isActive()) say(`[membership] ${service.title} is running already`);
}

async function refuseRunning({ service }: PhaseContext): Promise<void> {
  if (!(await service.isActive())) return;
  throw new ClusterError(
    `[membership] ${service.title} is running already, as another member; etcdadm reset ends it`,
  );
}

function makeRoom({ settings, say }: PhaseContext, dataDir: string, data: DataState): void {
  if (data.kind === 'empty') return;
  say(`[membership] Deleting what is in ${settings.dataDir}`);
  removeData(dataDir);
}

function ownMember(members: readonly Member[], settings: Settings): Member | null {
  const own = members.find(({ peerUrls }) => peerUrls.includes(settings.peerUrl)) ?? null;
  const namesake = members.find(({ id, name }) => name === settings.name && id !== own?.id);
  if (namesake !== undefined) {
    throw new ClusterError(
      `[membership] a member at ${namesake.peerUrls.join()} is called ${settings.name}; give this one another --name`,
    );
  }
  if (own !== null && own.name !== '' && own.name !== settings.name) {
    throw new ClusterError(
      `[membership] the member at ${settings.peerUrl} is called ${own.name}: give --name ${own.name}`,
    );
  }
  return own;
}

/** All of them, as the member that comes has to name them: the names of others are only looked at. */
export function initialMembers(members: readonly Member[], selfId: bigint, name: string): string {
  return members
    .flatMap((member) => {
      const shown = member.id === selfId ? name : member.name || formatMemberId(member.id);
      return member.peerUrls.map((url) => `${shown}=${url}`);
    })
    .join();
}

/** An attempt whose answer was lost may have added it: every further one looks first. */
async function addLearner(access: ClientAccess, context: PhaseContext): Promise<bigint> {
  const { settings, options, signal, warn } = context;
  const tries = options.retries ? ADD_TRIES : 1;
  for (let attempt = 1, pauseMs = FIRST_PAUSE_MS; ; attempt++, pauseMs *= 2) {
    try {
      return await access.addLearner([settings.peerUrl]);
    } catch (error) {
      const { message } = error as Error;
      if (attempt >= tries)
        throw new ClusterError(`[membership] the cluster takes no further member: ${message}`);
      warn(`[membership] ${message}; trying again in ${pauseMs / 1000} s`);
    }
    await pause(pauseMs, signal);
    const { members } = await access.membership();
    const added = ownMember(members, settings);
    if (added !== null) return added.id;
  }
}
