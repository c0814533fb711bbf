/**
 * What a member says about itself and the cluster in the log: its name and client URLs once it can serve, and, as the leader,
 * the version of the cluster. A member speaks only when the cluster has a version, and in a form that every member reads: as bare
 * requests of the v2 API where etcd 3.4 is among them or is to open the data again, otherwise in their successors.
 */

import type { InternalError } from '@etcd/api';
import { encodeRequest, Request } from '@etcd/api/etcdserverpb';
import {
  Attributes as AttributesMessage,
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from '@etcd/api/membershippb';
import type { Timer } from '@etcd/base';
import {
  type Attributes,
  attributesJson,
  compareVersions,
  decideClusterVersion,
  formatClusterVersion,
  formatId,
  formatVersion,
  isDowngradeComplete,
  lowestMemberVersion,
  MIN_CLUSTER_VERSION,
  parseDowngradeTarget,
  parseVersion,
  type SemanticVersion,
} from '@etcd/storage/membership';
import {
  type ClusterVersion,
  compareClusterVersions,
  ETCD_VERSION,
  type MaxClusterVersion,
  newClusterVersion,
  raisedClusterVersion,
} from '../config/index.ts';
import type { MemberEnvironment } from '../consensus/index.ts';
import {
  ENTRY_KINDS,
  type EntryForm,
  type EntryFormFacts,
  entryForm,
  FIRST_WITHOUT_V2,
  type Propose,
  type Reader,
  V2_FIELD,
  type Waiter,
} from '../request/index.ts';
import type { Releases } from './releases.ts';

export interface ClusterAttributesOptions
  extends Pick<MemberEnvironment, 'clock' | 'logger' | 'memberId' | 'membership' | 'requestTimeoutMs'> {
  readonly attributes: Attributes;
  readonly maxClusterVersion: MaxClusterVersion;
  readonly isLeader: () => boolean;
  readonly releases: Releases;
  /** Proposes a request in the envelope of the v3 API. */
  readonly propose: Propose;
  /** Proposes a bare request of the v2 API, with the id that it is given. */
  readonly proposeV2: (encode: (id: bigint) => Uint8Array, waiter: Waiter<'v2'>) => void;
  readonly read: (reader: Reader) => void;
  /** The attributes are in the log: the member may serve. */
  readonly onPublished: () => void;
  /** Lets the database follow the cluster's version, should it not have been able to before. */
  readonly followVersion: () => void;
  /** Whether the leader keeps the cluster's version below what all members could follow. */
  readonly onKept: (isKept: boolean) => void;
}

/** As often as etcd's leader looks whether the cluster's version can be raised. */
const VERSION_CHECK_MS = 4000;
/** How soon members are asked again that have not said yet what they are, and a refused publication is tried again. */
const RETRY_MS = 100;
/** Founders start together: so long a member that nobody has heard of is waited for, which might be one of etcd 3.4. */
const FOUNDING_PATIENCE_MS = 5000;

export class ClusterAttributes {
  readonly #options: ClusterAttributesOptions;
  readonly #startMs: number;
  #timer: Timer | null = null;
  #retry: Timer | null = null;
  #isVersionPending = false;
  #isPublishing = false;
  #isPublished = false;
  #isStopped = false;
  /** Of what is worth a line, but not every few seconds: what was said last. */
  #said = '';

  constructor(options: ClusterAttributesOptions) {
    this.#options = options;
    this.#startMs = options.clock.now();
  }

  start(): void {
    this.#publish();
    this.#scheduleVersionCheck();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
    this.#retry?.cancel();
  }

  /** The cluster has a version, maybe its first. */
  onClusterVersion(): void {
    this.#publish();
  }

  /** Looks at once whether the cluster's version has to be set. */
  checkVersion(): void {
    const { isLeader, releases, membership, onKept } = this.#options;
    if (this.#isStopped || this.#isVersionPending) return;
    if (!isLeader()) return onKept(false);
    this.#isVersionPending = true;
    releases.askThen((answers) => {
      this.#isVersionPending = false;
      if (this.#isStopped || !isLeader()) return;
      const versions = [ETCD_VERSION, ...answers];
      if (membership.downgrade.enabled) this.#followDowngrade(versions);
      else this.#raiseVersion(versions);
    });
  }

  #raiseVersion(memberVersions: readonly (string | null)[]): void {
    const { membership, logger, maxClusterVersion } = this.#options;
    const current = membership.version;
    const isMissing = current === null && lowestMemberVersion(memberVersions) === null;
    if (isMissing && this.#isPatient) return this.#soon();
    const target = this.#targetVersion(memberVersions);
    if (target === null) return;
    const to = formatClusterVersion(target);
    if (!this.#setVersion(target)) return;
    if (current !== null) {
      logger.info('updating cluster version', { from: formatClusterVersion(current), to });
      return;
    }
    logger.info('setting up initial cluster version', { 'cluster-version': to });
    logger.info('the data of this cluster can be opened by releases from its version on', {
      'cluster-version': to,
      'max-cluster-version': maxClusterVersion,
    });
  }

  /** Lowers the version as an operator has asked for; when all members run it, the downgrade is over. */
  #followDowngrade(memberVersions: readonly (string | null)[]): void {
    const { membership, logger } = this.#options;
    const { downgrade, version } = membership;
    const target = parseDowngradeTarget(downgrade.targetVersion);
    if (target !== null && isDowngradeComplete(memberVersions, target)) return this.#endDowngrade(target);
    const decision = decideClusterVersion({ clusterVersion: version, memberVersions, downgrade });
    if (decision.kind === 'invalid-downgrade') {
      logger.warn('the cluster can not be downgraded to the target that was asked for', {
        'target-cluster-version': downgrade.targetVersion,
      });
    } else if (decision.kind === 'set') {
      logger.info('updating cluster version for downgrade', {
        'target-cluster-version': formatClusterVersion(decision.version),
      });
      this.#setVersion(decision.version);
    }
  }

  #endDowngrade(target: SemanticVersion): void {
    const { propose, logger } = this.#options;
    this.#isVersionPending = true;
    propose('downgradeInfoSet', new DowngradeInfoSetRequest({ enabled: false }), {
      kind: 'downgradeInfoSet',
      request: null,
      onApplied: () => {
        this.#isVersionPending = false;
        logger.info('the cluster has been downgraded', { 'cluster-version': formatClusterVersion(target) });
      },
      onFailed: () => {
        this.#isVersionPending = false;
      },
    });
  }

  /** False if there is no way yet to say it that all members could read. */
  #setVersion(version: SemanticVersion): boolean {
    const form = this.#form();
    if (form === null) return false;
    this.#isVersionPending = true;
    const text = formatVersion(version);
    if (form === 'v2') {
      this.#proposeV2Put('/0/version', text, this.#versionWaiter('v2', text));
    } else {
      const request = new ClusterVersionSetRequest({ ver: text });
      const waiter = this.#versionWaiter('clusterVersionSet', text);
      this.#options.propose('clusterVersionSet', request, waiter);
    }
    return true;
  }

  /** null: it stays as it is. */
  #targetVersion(memberVersions: readonly (string | null)[]): SemanticVersion | null {
    const { membership, maxClusterVersion } = this.#options;
    const current = membership.version;
    const lowest = lowestMemberVersion(memberVersions);
    if (lowest === null) return current === null ? MIN_CLUSTER_VERSION : null;
    const lowestText = clusterVersionText(lowest);
    if (current === null) return parseVersion(`${newClusterVersion(maxClusterVersion, lowestText)}.0`);
    const currentText = clusterVersionText(current);
    const target = raisedClusterVersion(maxClusterVersion, currentText, lowestText);
    this.#onKept(target, lowestText);
    return target === currentText ? null : parseVersion(`${target}.0`);
  }

  /** Says that the way back to an older release is being kept open, and how it is closed. */
  #onKept(kept: ClusterVersion, possible: ClusterVersion): void {
    const { logger, onKept, maxClusterVersion } = this.#options;
    const isKept = compareClusterVersions(kept, possible) < 0;
    onKept(isKept);
    if (!isKept) return;
    this.#sayOnce('the cluster keeps its version, which all members could leave behind', (message) =>
      logger.info(message, {
        'cluster-version': kept,
        'possible-version': possible,
        'max-cluster-version': maxClusterVersion,
      }),
    );
  }

  #sayOnce(message: string, say: (message: string) => void): void {
    if (this.#said === message) return;
    this.#said = message;
    say(message);
  }

  #soon(): void {
    this.#retry?.cancel();
    this.#retry = this.#options.clock.setTimer(RETRY_MS, () => {
      this.#publish();
      if (this.#options.membership.version === null) this.checkVersion();
    });
  }

  get #isPatient(): boolean {
    return this.#options.clock.now() - this.#startMs < FOUNDING_PATIENCE_MS;
  }

  /** How attributes and versions are said now. */
  #form(): EntryForm | null {
    const { membership, releases, logger } = this.#options;
    const { unknown } = releases;
    const facts: EntryFormFacts = {
      clusterVersion: membership.version,
      lowest: releases.lowest,
      hasNoV2: releases.whoCanNotRead(ENTRY_KINDS.get(V2_FIELD)!) !== null,
      isComplete: unknown.length === 0,
      isPatient: this.#isPatient,
    };
    const form = entryForm(facts);
    if (form === null && !facts.isPatient) {
      this.#sayOnce('there is no form of the request that all members could read', (message) =>
        logger.warn(message, {
          'oldest-release': facts.lowest === null ? 'unknown' : formatVersion(facts.lowest),
          'members-of-unknown-release': unknown.map(({ id }) => formatId(id)),
        }),
      );
    }
    return form;
  }

  #scheduleVersionCheck(): void {
    this.#timer = this.#options.clock.setTimer(VERSION_CHECK_MS, () => {
      this.#options.followVersion();
      this.checkVersion();
      if (!this.#isStopped) this.#scheduleVersionCheck();
    });
  }

  #versionWaiter<K extends 'v2' | 'clusterVersionSet'>(kind: K, version: string): Waiter<K> {
    const { logger } = this.#options;
    return {
      kind,
      request: null,
      onApplied: () => {
        this.#isVersionPending = false;
        logger.info('cluster version is updated', { 'cluster-version': version });
      },
      onFailed: (error: InternalError) => {
        this.#isVersionPending = false;
        logger.warn('failed to update cluster version', { error: error.message });
      },
    };
  }

  /** Once the cluster has a version; whoever is refused tries again. */
  #publish(): void {
    if (this.#isStopped || this.#isPublishing || this.#isPublished) return;
    const { membership, releases } = this.#options;
    const { version } = membership;
    if (version === null) return;
    this.#isPublishing = true;
    if (compareVersions(version, FIRST_WITHOUT_V2) >= 0) return this.#publishAs('v3');
    releases.askThen(() => {
      if (this.#isStopped) return;
      const form = this.#form();
      if (form !== null) return this.#publishAs(form);
      if (!this.#isKnown) return this.#onUnpublished();
      // It is known already by what would be said: a read shows, as well as an entry, that this member belongs to a majority.
      this.#options.read({
        onReadable: () => this.#onPublished('local member is published already'),
        onUnreadable: () => this.#onUnpublished(),
      });
    });
  }

  get #isKnown(): boolean {
    const { membership, memberId, attributes } = this.#options;
    const member = membership.member(memberId);
    return member !== null && attributesJson(member) === attributesJson(attributes);
  }

  #publishAs(form: EntryForm): void {
    const { attributes, memberId, propose } = this.#options;
    if (form === 'v2') {
      const path = `/0/members/${formatId(memberId)}/attributes`;
      this.#proposeV2Put(path, attributesJson(attributes), this.#publishWaiter('v2'));
      return;
    }
    const { name, clientUrls } = attributes;
    const memberAttributes = new AttributesMessage({ name, clientUrls: [...clientUrls] });
    const request = new ClusterMemberAttrSetRequest({ memberId, memberAttributes });
    propose('clusterMemberAttrSet', request, this.#publishWaiter('clusterMemberAttrSet'));
  }

  #publishWaiter<K extends 'v2' | 'clusterMemberAttrSet'>(kind: K): Waiter<K> {
    return {
      kind,
      request: null,
      onApplied: () => this.#onPublished('published local member to cluster through raft'),
      onFailed: (error: InternalError) => {
        this.#options.logger.warn('failed to publish local member to cluster through raft', {
          ...this.#fields,
          error: error.message,
        });
        this.#onUnpublished();
      },
    };
  }

  #onPublished(message: string): void {
    this.#isPublishing = false;
    this.#isPublished = true;
    this.#options.logger.info(message, this.#fields);
    this.#options.onPublished();
  }

  #onUnpublished(): void {
    this.#isPublishing = false;
    if (!this.#isStopped) this.#soon();
  }

  get #fields(): Readonly<Record<string, string>> {
    const { memberId, attributes, requestTimeoutMs } = this.#options;
    return {
      'local-member-id': formatId(memberId),
      'local-member-attributes': attributesJson(attributes),
      'publish-timeout': `${requestTimeoutMs / 1000}s`,
    };
  }

  #proposeV2Put(path: string, val: string, waiter: Waiter<'v2'>): void {
    this.#options.proposeV2((id) => encodeRequest(new Request({ id, method: 'PUT', path, val })), waiter);
  }
}

function clusterVersionText(version: SemanticVersion): ClusterVersion {
  return formatClusterVersion(version) as ClusterVersion;
}
