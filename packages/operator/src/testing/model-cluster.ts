/**
 * A Kubernetes and an etcd, as far as the operator sees and moves them: a stateful set that makes pods and volumes, a kubelet that
 * runs members on disks, members that have a quorum or not. Time passes in steps; all chance is from a seed.
 */
import type { MemberId } from '@etcd/api';
import { assert, type SeededRandom } from '@etcd/base';
import type { Action } from '../cluster/action.ts';
import { memberName, peerUrl, volumeName } from '../cluster/names.ts';
import type { Alarm, ClusterRecord, Observed, SeenEtcd, Workload } from '../cluster/observed.ts';
import { quorumOf } from '../cluster/view.ts';
import { type ParsedSpec, parseClusterSpec } from '../resources/etcd-cluster.ts';
import { ModelCertificates } from './model-certificates.ts';
import { ModelRestores } from './model-restores.ts';
import { Refused } from './refused.ts';

export { Refused } from './refused.ts';

export const STEP_MS = 1000;
const NAME = 'c';
const NAMESPACE = 'n';

interface Disk {
  readonly uid: string;
  /** The member whose data it holds; null: it is empty. */
  memberId: MemberId | null;
  /** The restore that has put a backup's data here, of which no member was made yet; null: none. */
  restored: string | null;
  /** What restores have been here: none does its work twice. */
  readonly markers: Set<string>;
}

const emptyDisk = (uid: string): Disk => ({ uid, memberId: null, restored: null, markers: new Set() });

interface Pod {
  readonly ordinal: number;
  readonly uid: string;
  readonly template: string;
  readonly trustedIds: readonly string[];
  readonly createdMs: number;
  readonly disk: Disk;
  terminatesAtMs: number | null;
  /** When its container is tried next. */
  startsAtMs: number;
  isRunning: boolean;
  /** Since when the node is unreachable, until. */
  downUntilMs: number;
}

interface Volume {
  readonly ordinal: number;
  readonly name: string;
  readonly disk: Disk;
  isTerminating: boolean;
}

interface Member {
  readonly id: MemberId;
  name: string;
  readonly peerUrls: readonly string[];
  isLearner: boolean;
  alarms: Alarm[];
  caughtUpAtMs: number;
  databaseBytes: number;
  usedBytes: number;
  healthy: boolean;
  sinceMs: number;
}

export class ModelCluster {
  nowMs = 0;
  rawSpec: Record<string, unknown>;
  /** What is declared, but for whom members trust. */
  declared: string;
  readonly certificates = new ModelCertificates();
  isDeleted = false;
  hasFinalizer = false;
  isGone = false;
  hasServices = false;
  workload: Workload | null = null;
  record: ClusterRecord | null = null;
  pods: Pod[] = [];
  volumes: Volume[] = [];
  members: Member[] = [];
  leaderId: MemberId | null = null;
  /** What went against an invariant, in words. */
  readonly violations: string[] = [];
  readonly restores: ModelRestores;
  readonly #random: SeededRandom;
  #silentSinceMs: number | null = null;
  readonly #adopted = new Set<string>();
  #uids = 0;
  #wasFounded = false;

  constructor(random: SeededRandom, rawSpec: Record<string, unknown>) {
    this.#random = random;
    this.restores = new ModelRestores(random);
    this.rawSpec = rawSpec;
    this.declared = `t-${String(rawSpec['version'])}`;
  }

  get spec(): ParsedSpec {
    return parseClusterSpec(this.rawSpec);
  }

  get isSecure(): boolean {
    return this.rawSpec['tls'] !== undefined;
  }

  get template(): string {
    return this.isSecure ? `${this.declared} ${this.certificates.trust.join('.')}` : this.declared;
  }

  get hasVolumes(): boolean {
    return this.rawSpec['storageSpec'] !== undefined;
  }

  get voters(): readonly Member[] {
    return this.members.filter(({ isLearner }) => !isLearner);
  }

  get hasQuorum(): boolean {
    return this.voters.filter((member) => this.#runs(member)).length >= quorumOf(this.voters.length);
  }

  /** Lets a step of time pass. */
  step(): void {
    this.nowMs += STEP_MS;
    this.#controlPods();
    for (const pod of this.pods) this.#runPod(pod);
    this.restores.step(this.nowMs, (uid, volumeUid) => this.#putRestored(uid, volumeUid));
    this.#checkTrust();
    this.#elect();
    for (const member of this.members) {
      const healthy = this.#runs(member) && this.leaderId !== null;
      if (healthy !== member.healthy) {
        member.healthy = healthy;
        member.sinceMs = this.nowMs;
      }
    }
  }

  observe(): Observed {
    const etcd = this.#observeEtcd();
    this.#silentSinceMs = etcd === null ? (this.#silentSinceMs ?? this.nowMs) : null;
    return {
      nowMs: this.nowMs,
      name: NAME,
      namespace: NAMESPACE,
      uid: 'cluster',
      isDeleted: this.isDeleted,
      hasFinalizer: this.hasFinalizer,
      spec: this.spec,
      hasServices: this.hasServices,
      workload: this.workload,
      record: this.record,
      pods: this.pods.map((pod) => ({
        ordinal: pod.ordinal,
        uid: pod.uid,
        template: pod.template,
        trustedIds: pod.trustedIds,
        createdMs: pod.createdMs,
        isTerminating: pod.terminatesAtMs !== null,
        isRunning: pod.isRunning,
      })),
      certificates: this.isSecure ? this.certificates.observe() : null,
      volumes: this.volumes.map(({ ordinal, name, disk, isTerminating }) => ({
        ordinal,
        name,
        uid: disk.uid,
        isTerminating,
        isLost: false,
      })),
      etcd,
      silentSinceMs: this.#silentSinceMs,
      ...this.restores.observe(this.rawSpec['backup'] !== undefined),
    };
  }

  /** Does what the operator asks for. Throws {@link Refused}. */
  perform(action: Action): void {
    if (this.certificates.perform(action, this.nowMs)) return;
    if (this.restores.perform(action, this.nowMs)) return;
    switch (action.kind) {
      case 'add-finalizer':
        if (this.isGone) throw new Refused('no such resource');
        this.hasFinalizer = true;
        return;
      case 'remove-finalizer':
        this.hasFinalizer = false;
        if (this.isDeleted) this.isGone = true;
        return;
      case 'apply-services':
        this.hasServices = true;
        return;
      case 'write-record':
        return this.#writeRecord(action.record);
      case 'evict-pod':
        if (!this.pods.every((pod) => pod.ordinal === action.ordinal || this.#isReady(pod)))
          throw new Refused('budget');
        return this.#deletePod(action.ordinal, action.uid);
      case 'create-volume': {
        const { ordinal } = action;
        if (this.volumes.some((volume) => volume.ordinal === ordinal)) throw new Refused('it exists');
        const disk = emptyDisk(this.#uid());
        this.volumes.push({ ordinal, name: volumeName(NAME, ordinal), disk, isTerminating: false });
        return;
      }
      case 'delete-pod':
        return this.#deletePod(action.ordinal, action.uid);
      case 'delete-volume':
        return this.#deleteVolume(action.name, action.uid);
      case 'create-workload':
      case 'scale-workload':
      case 'update-template':
      case 'delete-workload':
        return this.#changeWorkload(action);
      default:
        return this.#askEtcd(action);
    }
  }

  /** The pod's node is unreachable for a while. */
  takeNode(ordinal: number, durationMs: number): void {
    for (const pod of this.pods) if (pod.ordinal === ordinal) pod.downUntilMs = this.nowMs + durationMs;
  }

  /** The container ends, and is started again in place. */
  kill(ordinal: number): void {
    for (const pod of this.pods) {
      if (pod.ordinal !== ordinal) continue;
      pod.isRunning = false;
      pod.startsAtMs = this.nowMs + STEP_MS * (1 + this.#random.below(5));
    }
  }

  /** Pod and disk are gone at once. */
  loseDisk(ordinal: number): void {
    this.pods = this.pods.filter((pod) => pod.ordinal !== ordinal);
    this.volumes = this.volumes.filter((volume) => volume.ordinal !== ordinal);
  }

  /** How many voters' disks are in place. */
  votersWithDisk(): number {
    const held = new Set(this.#disks().map(({ memberId }) => memberId));
    return this.voters.filter(({ id }) => held.has(id)).length;
  }

  #disks(): Disk[] {
    return this.hasVolumes ? this.volumes.map(({ disk }) => disk) : this.pods.map(({ disk }) => disk);
  }

  #observeEtcd(): SeenEtcd | null {
    if (!this.members.some((member) => this.#runs(member))) return null;
    // A list that no quorum confirms is not taken for one.
    if (!this.hasQuorum) return null;
    const members = this.members.map((member) => ({
      id: member.id,
      name: member.name,
      peerUrls: member.peerUrls,
      isLearner: member.isLearner,
      isHealthy: member.healthy,
      sinceMs: member.sinceMs,
      alarms: [...member.alarms],
      databaseBytes: member.databaseBytes,
      usedBytes: member.usedBytes,
      quotaBytes: 2000,
    }));
    return { members, leaderId: this.leaderId, revision: 7n };
  }

  #runs(member: Member): boolean {
    return this.pods.some((pod) => this.#isUp(pod) && pod.disk.memberId === member.id);
  }

  #isUp(pod: Pod): boolean {
    return pod.isRunning && pod.downUntilMs <= this.nowMs;
  }

  /** What members show each other is believed by all that run. */
  #checkTrust(): void {
    if (!this.isSecure || this.isDeleted) return;
    for (const pod of this.pods.filter((each) => this.#isUp(each))) {
      for (const { role, issuerId, notAfterMs } of this.certificates.certificates.values()) {
        if (notAfterMs <= this.nowMs) this.violations.push(`the certificate ${role} has expired`);
        if (issuerId !== null && !pod.trustedIds.includes(issuerId))
          this.violations.push(`the pod ${pod.ordinal} does not trust who signed ${role}`);
      }
    }
  }

  #isReady(pod: Pod): boolean {
    return this.#isUp(pod) && pod.terminatesAtMs === null && this.leaderId !== null;
  }

  #uid(): string {
    return `u${++this.#uids}`;
  }

  /** The controllers of stateful sets and volumes. */
  #controlPods(): void {
    this.pods = this.pods.filter((pod) => pod.terminatesAtMs === null || pod.terminatesAtMs > this.nowMs);
    this.volumes = this.volumes.filter(
      (volume) => !volume.isTerminating || this.pods.some(({ disk }) => disk === volume.disk),
    );
    const replicas = this.workload?.replicas ?? 0;
    for (const pod of this.pods) if (pod.ordinal >= replicas) pod.terminatesAtMs ??= this.nowMs + 2 * STEP_MS;
    for (let ordinal = 0; ordinal < replicas; ordinal++) {
      if (this.pods.some((pod) => pod.ordinal === ordinal)) continue;
      const disk = this.hasVolumes ? this.#volumeFor(ordinal) : emptyDisk('');
      if (disk === null) continue;
      const uid = this.#uid();
      this.pods.push({
        ordinal,
        uid,
        template: this.workload!.template,
        trustedIds: this.isSecure ? this.certificates.trust : [],
        createdMs: this.nowMs,
        disk: this.hasVolumes ? disk : emptyDisk(uid),
        terminatesAtMs: null,
        startsAtMs: this.nowMs + STEP_MS * (1 + this.#random.below(4)),
        isRunning: false,
        downUntilMs: 0,
      });
    }
  }

  /** null: the old one is still being taken away. */
  #volumeFor(ordinal: number): Disk | null {
    const there = this.volumes.find((volume) => volume.ordinal === ordinal);
    if (there !== undefined) return there.isTerminating ? null : there.disk;
    const disk = emptyDisk(this.#uid());
    this.volumes.push({ ordinal, name: volumeName(NAME, ordinal), disk, isTerminating: false });
    return disk;
  }

  #runPod(pod: Pod): void {
    if (pod.terminatesAtMs !== null) pod.isRunning = false;
    if (
      pod.isRunning ||
      pod.terminatesAtMs !== null ||
      pod.downUntilMs > this.nowMs ||
      pod.startsAtMs > this.nowMs
    )
      return;
    pod.isRunning = this.#startMember(pod);
    // The kubelet tries less and less often.
    if (!pod.isRunning) pod.startsAtMs = this.nowMs + 20 * STEP_MS;
  }

  /** A member's start, behind the gate that keeps empty disks out. */
  #startMember(pod: Pod): boolean {
    const { record } = this;
    if (this.isSecure && !this.certificates.isUsable(this.nowMs)) return false;
    const name = memberName(NAME, pod.ordinal);
    const { disk } = pod;
    if (disk.restored !== null) return this.#foundRestored(pod, name, disk.restored);
    if (disk.memberId !== null) return this.members.some(({ id }) => id === disk.memberId);
    if (record?.mayStartEmpty !== name) return false;
    if (record.initialClusterState === 'new') return this.#foundEtcd(pod, name);
    const url = peerUrl(NAME, NAMESPACE, pod.ordinal, this.isSecure);
    const member = this.members.find(({ peerUrls }) => peerUrls.includes(url));
    if (member === undefined) return false;
    if (!member.isLearner) this.violations.push(`voter ${name} started on an empty disk`);
    disk.memberId = member.id;
    member.name = name;
    member.caughtUpAtMs = this.nowMs + STEP_MS * this.#random.below(10);
    return true;
  }

  #foundEtcd(pod: Pod, name: string): boolean {
    if (this.#wasFounded && this.members.length > 1) this.violations.push('a second cluster was founded');
    this.#wasFounded = true;
    this.members = [];
    const member = this.#newMember([peerUrl(NAME, NAMESPACE, pod.ordinal, this.isSecure)], false);
    member.name = name;
    pod.disk.memberId = member.id;
    return true;
  }

  /** As the worker of a restore does, on the volume of the first member. */
  #putRestored(uid: string, volumeUid: string): boolean {
    const disk = this.volumes.find(({ ordinal, isTerminating }) => ordinal === 0 && !isTerminating)?.disk;
    if (disk?.uid !== volumeUid) return false;
    if (disk.markers.has(uid)) return true;
    if (this.pods.length > 0) this.violations.push('data was replaced while there were members');
    const { record } = this;
    const wanted = this.restores.restores.find((restore) => restore.uid === uid);
    if (record?.isFounded === true && wanted?.replacesData !== true)
      this.violations.push('data was replaced that nobody had given up');
    disk.markers.add(uid);
    disk.memberId = null;
    disk.restored = uid;
    return true;
  }

  #foundRestored(pod: Pod, name: string, uid: string): boolean {
    const adopted = `${uid} ${pod.disk.uid}`;
    if (this.#adopted.has(adopted)) this.violations.push('a backup was restored twice');
    if (this.pods.some((other) => other !== pod && this.#isUp(other)))
      this.violations.push('a cluster was restored while another was at work');
    this.#adopted.add(adopted);
    this.members = [];
    const member = this.#newMember([peerUrl(NAME, NAMESPACE, pod.ordinal, this.isSecure)], false);
    member.name = name;
    pod.disk.memberId = member.id;
    pod.disk.restored = null;
    return true;
  }

  #newMember(peerUrls: readonly string[], isLearner: boolean): Member {
    const member: Member = {
      id: BigInt(++this.#uids),
      name: '',
      peerUrls,
      isLearner,
      alarms: [],
      caughtUpAtMs: Number.POSITIVE_INFINITY,
      databaseBytes: 1000,
      usedBytes: 900,
      healthy: false,
      sinceMs: this.nowMs,
    };
    this.members.push(member);
    return member;
  }

  #elect(): void {
    const candidates = this.voters.filter((member) => this.#runs(member));
    if (candidates.length < quorumOf(this.voters.length)) this.leaderId = null;
    else if (!candidates.some(({ id }) => id === this.leaderId)) {
      // An election takes a moment.
      this.leaderId = this.#random.chance(0.7) ? this.#random.pick(candidates).id : null;
    }
  }

  #writeRecord(record: ClusterRecord): void {
    if ((this.record?.resourceVersion ?? null) !== record.resourceVersion) throw new Refused('conflict');
    this.record = { ...record, resourceVersion: this.#uid() };
  }

  #changeWorkload(action: Action): void {
    const resourceVersion = this.#uid();
    if (action.kind === 'create-workload') {
      if (this.workload !== null) throw new Refused('it exists');
      const version = String(this.rawSpec['version']);
      const { template } = this;
      const uid = this.#uid();
      this.workload = {
        uid,
        ownerUid: 'cluster',
        replicas: action.replicas,
        image: this.#image,
        template,
        version,
        resourceVersion,
      };
      return;
    }
    if (this.workload === null) throw new Refused('no such stateful set');
    if (action.kind === 'delete-workload') {
      if (this.workload.uid !== action.uid) throw new Refused('another stateful set');
      this.workload = null;
      return;
    }
    assert(action.kind === 'scale-workload' || action.kind === 'update-template', 'model: not of a workload');
    if (this.workload.resourceVersion !== action.resourceVersion) throw new Refused('conflict');
    if (action.kind === 'scale-workload') {
      for (const pod of this.pods) if (pod.ordinal >= action.replicas) this.#noteHand(pod);
      this.workload = { ...this.workload, replicas: action.replicas, resourceVersion };
      return;
    }
    const version = String(this.rawSpec['version']);
    const image = this.#image;
    this.workload = { ...this.workload, image, template: this.template, version, resourceVersion };
  }

  #deletePod(ordinal: number, uid: string): void {
    const pod = this.pods.find((each) => each.ordinal === ordinal);
    if (pod === undefined || pod.uid !== uid) throw new Refused('no such pod');
    this.#noteHand(pod);
    pod.terminatesAtMs ??= this.nowMs + 2 * STEP_MS;
  }

  #deleteVolume(name: string, uid: string): void {
    const volume = this.volumes.find((each) => each.name === name);
    if (volume === undefined || volume.disk.uid !== uid) throw new Refused('no such volume');
    const owner = this.members.find(({ id }) => id === volume.disk.memberId);
    if (owner !== undefined && !this.isDeleted)
      this.violations.push(`the volume of member ${owner.name} was deleted`);
    volume.isTerminating = true;
  }

  /** The operator is about to stop a pod: the others must be enough. */
  #noteHand(pod: Pod): void {
    if (this.isDeleted) return;
    const member = this.voters.find(({ id }) => id === pod.disk.memberId);
    if (member === undefined || this.voters.length < 3 || !this.hasQuorum) return;
    const left = this.voters.filter((each) => each !== member && this.#runs(each)).length;
    if (left < quorumOf(this.voters.length))
      this.violations.push(`${member.name} was stopped, and the quorum is gone`);
  }

  get #image(): string {
    const { spec } = this;
    return spec.ok ? `${spec.spec.imageRegistry}:${spec.spec.version}` : '';
  }

  #askEtcd(action: Action): void {
    if (!this.hasQuorum || this.leaderId === null) throw new Refused('no leader');
    if (action.kind === 'add-learner') return this.#addLearner(action.peerUrl);
    if (action.kind === 'compact') {
      for (const member of this.members) member.usedBytes = 500;
      return this.#writeRecord(action.record);
    }
    assert('id' in action || action.kind === 'move-leader', 'model: not of a member');
    const id = action.kind === 'move-leader' ? action.to : action.id;
    const member = this.members.find((each) => each.id === id);
    if (member === undefined) throw new Refused('no such member');
    if (action.kind === 'move-leader') {
      if (this.leaderId !== action.from || !this.#runs(member)) throw new Refused('bad transferee');
      this.leaderId = id;
    } else if (action.kind === 'promote') {
      if (!member.isLearner || member.caughtUpAtMs > this.nowMs || !this.#runs(member))
        throw new Refused('not ready');
      member.isLearner = false;
    } else if (action.kind === 'remove-member') this.#removeMember(member);
    else if (action.kind === 'defragment') member.databaseBytes = member.usedBytes;
    else if (action.kind === 'disarm')
      member.alarms = member.alarms.filter((alarm) => alarm !== action.alarm);
  }

  #addLearner(url: string): void {
    if (this.members.some(({ peerUrls }) => peerUrls.includes(url))) throw new Refused('the URL is in use');
    if (this.members.some(({ isLearner }) => isLearner)) throw new Refused('too many learners');
    this.#newMember([url], true);
  }

  #removeMember(member: Member): void {
    const left = this.voters.filter((each) => each !== member && this.#runs(each)).length;
    // As etcd's strict check does, at the moment it is asked.
    if (!member.isLearner && left < quorumOf(this.voters.length - 1)) throw new Refused('unhealthy cluster');
    this.members = this.members.filter((each) => each !== member);
    for (const pod of this.pods) if (pod.disk.memberId === member.id) pod.isRunning = false;
  }
}
