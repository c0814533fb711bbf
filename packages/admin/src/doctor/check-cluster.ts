/** Findings about a cluster as a whole: who answers, who leads, who agrees. Pure. */
import { AlarmType } from '@etcd/api/etcdserverpb';
import { formatMemberId, isHealthy, quorumOf, titleOf } from '../cluster/quorum.ts';
import type { ClusterFacts, MemberFacts } from './facts.ts';
import type { Finding } from './finding.ts';

/** Entries that a member may be behind before it counts as one that does not keep up. */
const MAX_LAG_ENTRIES = 5_000;

export function checkCluster(facts: ClusterFacts): Finding[] {
  return [
    ...quorumFindings(facts),
    ...memberFindings(facts),
    ...leaderFindings(facts),
    ...versionFindings(facts),
    ...alarmFindings(facts),
    ...hashFindings(facts),
    ...lagFindings(facts),
  ];
}

function quorumFindings({ members, hasQuorum }: ClusterFacts): Finding[] {
  const voters = members.filter(({ member }) => !member.isLearner);
  const healthy = voters.filter(isHealthy).length;
  const needed = quorumOf(voters.length);
  const about = `${healthy} of ${voters.length} voting members are healthy, ${needed} are needed`;
  const finding = { check: 'quorum', member: null };
  if (!hasQuorum || healthy < needed) {
    const fix =
      'start the members that are down; if their data are lost: etcdadm restore on each host, or etcd --force-new-cluster on the one with the newest data';
    return [{ ...finding, severity: 'error', message: `the cluster has no quorum: ${about}`, fix }];
  }
  if (healthy === needed && voters.length > 1) {
    const isFull = healthy === voters.length;
    const fix = isFull
      ? 'etcdadm join on another host'
      : 'bring back who is down, or etcdadm member replace NAME';
    const severity = isFull ? 'warning' : 'error';
    return [{ ...finding, severity, message: `the loss of one more member ends the service: ${about}`, fix }];
  }
  if (voters.length % 2 === 0) {
    const message = `${voters.length} voting members survive no more losses than ${voters.length - 1} do`;
    return [{ ...finding, severity: 'note', message, fix: 'etcdadm join on another host' }];
  }
  return [];
}

function memberFindings({ members }: ClusterFacts): Finding[] {
  return members.flatMap(({ member, status }): Finding[] => {
    const finding = { check: 'members', member: titleOf(member) };
    const id = formatMemberId(member.id);
    if (member.name === '') {
      const fix = `start it on its host (etcdadm join URL), or: etcdctl member remove ${id}`;
      return [{ ...finding, severity: 'warning', message: 'was added and has never started', fix }];
    }
    if (status === null) {
      const fix = `journalctl -u etcd on its host; if its data are lost: etcdadm member replace ${member.name}`;
      return [
        { ...finding, severity: 'error', message: `does not answer at ${member.clientUrls.join()}`, fix },
      ];
    }
    if (!member.isLearner) return [];
    return [
      {
        ...finding,
        severity: 'warning',
        message: 'is a learner, without a vote',
        fix: `etcdctl member promote ${id}`,
      },
    ];
  });
}

function leaderFindings({ members }: ClusterFacts): Finding[] {
  const answering = members.filter(({ status }) => status !== null);
  const leaders = new Set(answering.map(({ status }) => status!.leader));
  if (answering.length === 0 || (leaders.size === 1 && !leaders.has(0n))) return [];
  const views = answering.map(({ member, status }) => {
    const leader = status!.leader;
    return `${titleOf(member)}: ${leader === 0n ? 'none' : formatMemberId(leader)}`;
  });
  const message = `members do not name the same leader (${views.join(', ')})`;
  const fix = 'look at the network between members (port 2380), and run etcdadm doctor again';
  return [{ severity: 'error', check: 'leader', member: null, message, fix }];
}

function versionFindings({ members }: ClusterFacts): Finding[] {
  const versions = new Map<string, string[]>();
  for (const { member, status } of members) {
    if (status === null) continue;
    const minor = status.version.split('.').slice(0, 2).join('.');
    versions.set(minor, [...(versions.get(minor) ?? []), titleOf(member)]);
  }
  const findings: Finding[] = [];
  if (versions.size > 1) {
    const groups = [...versions].sort().map(([version, names]) => `${version}: ${names.join(', ')}`);
    const minors = [...versions.keys()].map((version) => Number(version.split('.')[1]));
    const isWide = Math.max(...minors) - Math.min(...minors) > 1;
    findings.push({
      severity: 'warning',
      check: 'versions',
      member: null,
      message: `members are of different releases (${groups.join('; ')})${isWide ? ', more than one apart' : ''}`,
      fix: 'bring the others to the same release, one at a time, with etcdadm doctor between',
    });
  }
  const downgrade = members.find(({ status }) => status?.downgradeInfo?.enabled === true);
  if (downgrade !== undefined) {
    const target = downgrade.status!.downgradeInfo!.targetVersion;
    const message = `a downgrade to ${target} is under way`;
    findings.push({
      severity: 'warning',
      check: 'versions',
      member: null,
      message,
      fix: 'finish it, or: etcdctl downgrade cancel',
    });
  }
  return findings;
}

function alarmFindings({ members, alarms }: ClusterFacts): Finding[] {
  return alarms.map(({ memberId, alarm }) => {
    const member = members.find(({ member: { id } }) => id === memberId)?.member;
    const finding = {
      severity: 'error',
      check: 'alarms',
      member: member === undefined ? null : titleOf(member),
    } as const;
    if (alarm === AlarmType.NOSPACE) {
      const fix =
        'etcdctl compact $(etcdctl endpoint status -w json | grep -o \'"revision":[0-9]*\' | head -1 | cut -d: -f2) && etcd-defrag --cluster && etcdctl alarm disarm';
      return { ...finding, message: 'alarm NOSPACE: nothing can be written', fix };
    }
    if (alarm === AlarmType.CORRUPT) {
      const fix =
        member === undefined
          ? 'compare etcdutl hashkv of the members'
          : `etcdadm member replace ${titleOf(member)}`;
      return { ...finding, message: 'alarm CORRUPT: its data differ from the others', fix };
    }
    return { ...finding, message: `alarm ${alarm}`, fix: 'etcdctl alarm list' };
  });
}

/** Only hashes of the same revision, taken above the same compaction, say anything. */
function hashFindings({ members }: ClusterFacts): Finding[] {
  const comparable = Map.groupBy(
    members.filter(({ hash }) => hash !== null),
    ({ hash }) => `${hash!.revision}/${hash!.compactRevision}`,
  );
  return [...comparable.values()].flatMap((group): Finding[] => {
    const byHash = [...Map.groupBy(group, ({ hash }) => hash!.hash).values()].sort(
      (a, b) => b.length - a.length,
    );
    const [most, ...others] = byHash;
    if (most === undefined || others.length === 0) return [];
    const { revision } = most[0]!.hash!;
    if (others[0]!.length === most.length) {
      const names = group.map(({ member }) => titleOf(member)).join(', ');
      const message = `${names} have different data at revision ${revision}, and no majority says whose are right`;
      const fix =
        'stop writing, keep a copy of each data directory, and restore the newest backup: etcdadm restore';
      return [{ severity: 'error', check: 'hashes', member: null, message, fix }];
    }
    return others.flat().map(({ member }) => ({
      severity: 'error',
      check: 'hashes',
      member: titleOf(member),
      message: `has other data than the majority at revision ${revision}`,
      fix: `etcdadm member replace ${titleOf(member)}`,
    }));
  });
}

function lagFindings({ members }: ClusterFacts): Finding[] {
  const newest = Math.max(0, ...members.map(({ status }) => status?.raftIndex ?? 0));
  return members.flatMap(({ member, status }: MemberFacts): Finding[] => {
    const behind = status === null ? 0 : newest - status.raftAppliedIndex;
    if (behind <= MAX_LAG_ENTRIES) return [];
    const message = `is ${behind} entries behind`;
    const fix = 'look at its disk and its network; etcdadm doctor --data-dir on its host measures the disk';
    return [{ severity: 'warning', check: 'lag', member: titleOf(member), message, fix }];
  });
}
