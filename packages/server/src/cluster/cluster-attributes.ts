/**
 * What a member says about itself and the cluster in the log: its name and client URLs once it can serve, and, as the leader,
 * the version of the cluster. Until the cluster is at 3.6 these are requests of the v2 API, which every release from 3.4
 * on reads; from then on their successors.
 */
import type { InternalError } from '@etcd/api';
import { encodeRequest, Request } from '@etcd/api/etcdserverpb';
import {
  Attributes as AttributesMessage,
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
  encodeClusterMemberAttrSetRequest,
  encodeClusterVersionSetRequest,
  encodeDowngradeInfoSetRequest,
} from '@etcd/api/membershippb';
import type { Clock, Logger, Timer } from '@etcd/base';
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
  type Membership,
  MIN_CLUSTER_VERSION,
  parseDowngradeTarget,
  parseVersion,
  type SemanticVersion,
} from '@etcd/storage/membership';
import { type MaxClusterVersion, newClusterVersion, raisedClusterVersion } from '../config/index.ts';
import type { Waiter } from '../request/index.ts';
import { RequestField } from '../request/index.ts';

export interface ClusterAttributesOptions {
  readonly membership: Membership;
  readonly memberId: bigint;
  readonly attributes: Attributes;
  readonly maxClusterVersion: MaxClusterVersion;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly requestTimeoutMs: number;
  readonly isLeader: () => boolean;
  /** Asks every member which release it runs; null for one that gives no answer. */
  readonly memberVersions: (done: (versions: readonly (string | null)[]) => void) => void;
  /** Proposes a request in the envelope of the v3 API. */
  readonly propose: (field: number, bytes: Uint8Array, waiter: Waiter) => void;
  /** Proposes a bare request of the v2 API, with the id that it is given. */
  readonly proposeV2: (encode: (id: bigint) => Uint8Array, waiter: Waiter) => void;
  /** The attributes are in the log: the member may serve. */
  readonly onPublished: () => void;
}

/** As often as etcd's leader looks whether the cluster's version can be raised. */
const VERSION_CHECK_MS = 4000;
const FIRST_V3_VERSION: SemanticVersion = { major: 3, minor: 6, patch: 0, preRelease: '' };

export class ClusterAttributes {
  readonly #options: ClusterAttributesOptions;
  #timer: Timer | null = null;
  #isVersionPending = false;
  #isStopped = false;

  constructor(options: ClusterAttributesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#publish();
    this.#scheduleVersionCheck();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Looks at once whether the cluster's version has to be set. */
  checkVersion(): void {
    const { isLeader, memberVersions } = this.#options;
    if (this.#isStopped || this.#isVersionPending || !isLeader()) return;
    this.#isVersionPending = true;
    memberVersions((versions) => {
      this.#isVersionPending = false;
      if (this.#isStopped || !isLeader()) return;
      const { downgrade } = this.#options.membership;
      if (downgrade.enabled) this.#followDowngrade(versions);
      else this.#raiseVersion(versions);
    });
  }

  #raiseVersion(memberVersions: readonly (string | null)[]): void {
    const { membership, logger } = this.#options;
    const target = this.#targetVersion(memberVersions);
    if (target === null) return;
    if (membership.version === null) {
      logger.info('setting up initial cluster version', { 'cluster-version': formatClusterVersion(target) });
    } else {
      const from = formatClusterVersion(membership.version);
      logger.info('updating cluster version', { from, to: formatClusterVersion(target) });
    }
    this.#setVersion(target);
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
    const bytes = encodeDowngradeInfoSetRequest(new DowngradeInfoSetRequest({ enabled: false }));
    propose(RequestField.DOWNGRADE_INFO_SET, bytes, {
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

  #setVersion(version: SemanticVersion): void {
    this.#isVersionPending = true;
    const text = formatVersion(version);
    const waiter = this.#versionWaiter(text);
    if (this.#usesV2) {
      this.#proposeV2Put('/0/version', text, waiter);
    } else {
      const bytes = encodeClusterVersionSetRequest(new ClusterVersionSetRequest({ ver: text }));
      this.#options.propose(RequestField.CLUSTER_VERSION_SET, bytes, waiter);
    }
  }

  /** null: it stays as it is. */
  #targetVersion(memberVersions: readonly (string | null)[]): SemanticVersion | null {
    const { membership, maxClusterVersion } = this.#options;
    const current = membership.version;
    const lowest = lowestMemberVersion(memberVersions);
    if (lowest === null) return current === null ? MIN_CLUSTER_VERSION : null;
    const lowestText = formatClusterVersion(lowest) as `${number}.${number}`;
    const currentText = current === null ? null : (formatClusterVersion(current) as `${number}.${number}`);
    const target =
      currentText === null
        ? newClusterVersion(maxClusterVersion, lowestText)
        : raisedClusterVersion(maxClusterVersion, currentText, lowestText);
    return target === currentText ? null : parseVersion(`${target}.0`);
  }

  #scheduleVersionCheck(): void {
    this.#timer = this.#options.clock.setTimer(VERSION_CHECK_MS, () => {
      this.checkVersion();
      if (!this.#isStopped) this.#scheduleVersionCheck();
    });
  }

  #versionWaiter(version: string): Waiter {
    const { logger } = this.#options;
    return {
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

  #publish(): void {
    if (this.#isStopped) return;
    const { attributes, memberId, logger, onPublished, requestTimeoutMs, propose } = this.#options;
    const fields = {
      'local-member-id': formatId(memberId),
      'local-member-attributes': attributesJson(attributes),
      'publish-timeout': `${requestTimeoutMs / 1000}s`,
    };
    const waiter: Waiter = {
      request: null,
      onApplied: () => {
        logger.info('published local member to cluster through raft', fields);
        onPublished();
      },
      onFailed: (error: InternalError) => {
        logger.warn('failed to publish local member to cluster through raft', {
          ...fields,
          error: error.message,
        });
        this.#publish();
      },
    };
    if (this.#usesV2) {
      this.#proposeV2Put(`/0/members/${formatId(memberId)}/attributes`, attributesJson(attributes), waiter);
    } else {
      const { name, clientUrls } = attributes;
      const memberAttributes = new AttributesMessage({ name, clientUrls: [...clientUrls] });
      const request = new ClusterMemberAttrSetRequest({ memberId, memberAttributes });
      propose(RequestField.CLUSTER_MEMBER_ATTR_SET, encodeClusterMemberAttrSetRequest(request), waiter);
    }
  }

  get #usesV2(): boolean {
    const { version } = this.#options.membership;
    return version === null || compareVersions(version, FIRST_V3_VERSION) < 0;
  }

  #proposeV2Put(path: string, val: string, waiter: Waiter): void {
    this.#options.proposeV2((id) => encodeRequest(new Request({ id, method: 'PUT', path, val })), waiter);
  }
}
