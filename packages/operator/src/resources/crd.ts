/** The definition of the resource, for Kubernetes: what it refuses by itself, and what `kubectl get` shows. */
import { TEMPLATE } from './backup-crd.ts';
import { definitionOf } from './definition.ts';
import { DEFAULT_REGISTRY, MAX_SIZE } from './etcd-cluster.ts';

const QUANTITY = { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?([KMGTPE]i?)?$' };

const TEXTS = { type: 'array', maxItems: 64, items: { type: 'string', maxLength: 253 } };
const TEXT_MAP = { type: 'object', additionalProperties: { type: 'string' } };
/** What Kubernetes checks itself, where it is used. */
const ANYTHING = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const CERTIFICATE_FIELDS = {
  commonName: { type: 'string', minLength: 1, maxLength: 64 },
  organizations: TEXTS,
  altNames: { type: 'object', properties: { dnsNames: TEXTS, ipAddresses: TEXTS } },
  validityDuration: { type: 'string', pattern: '^([0-9]+[dhms])+$', description: 'As 365d or 100d12h.' },
};

const TLS = {
  type: 'object',
  description: 'Members and clients prove who they are, and what they say is encrypted.',
  properties: {
    provider: { type: 'string', enum: ['auto', 'cert-manager'], default: 'auto' },
    providerCfg: {
      type: 'object',
      properties: {
        autoCfg: {
          type: 'object',
          description: 'Certificates by an authority that the operator keeps for this cluster.',
          properties: CERTIFICATE_FIELDS,
        },
        certManagerCfg: {
          type: 'object',
          required: ['issuerName'],
          properties: {
            ...CERTIFICATE_FIELDS,
            issuerKind: { type: 'string', enum: ['Issuer', 'ClusterIssuer'], default: 'Issuer' },
            issuerName: { type: 'string', minLength: 1, maxLength: 253 },
            caBundleSecret: {
              type: 'string',
              minLength: 1,
              maxLength: 253,
              description: 'A secret whose ca.crt members trust, in place of that beside each certificate.',
            },
          },
        },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: "self.provider != 'cert-manager' || (has(self.providerCfg) && has(self.providerCfg.certManagerCfg))",
      message: 'cert-manager needs providerCfg.certManagerCfg with an issuerName',
    },
  ],
};

const POD_TEMPLATE = {
  type: 'object',
  properties: {
    metadata: { type: 'object', properties: { labels: TEXT_MAP, annotations: TEXT_MAP } },
    spec: {
      type: 'object',
      properties: {
        affinity: ANYTHING,
        nodeSelector: TEXT_MAP,
        tolerations: { type: 'array', maxItems: 64, items: ANYTHING },
        priorityClassName: { type: 'string', minLength: 1 },
        resources: ANYTHING,
      },
    },
  },
};

const MAINTENANCE = {
  type: 'object',
  description: 'When the cluster may be disturbed by what can wait.',
  properties: {
    windows: {
      type: 'array',
      maxItems: 16,
      items: {
        type: 'object',
        required: ['start', 'durationMinutes'],
        properties: {
          days: {
            type: 'array',
            maxItems: 7,
            items: { type: 'string', enum: ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] },
            description: 'All unless told.',
          },
          start: {
            type: 'string',
            pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$',
            description: 'In UTC, as 02:30.',
          },
          durationMinutes: { type: 'integer', minimum: 15, maximum: 1440 },
        },
      },
    },
    defragmentationRule: {
      type: 'string',
      maxLength: 1024,
      description: 'Of the tool etcd-defrag, as dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024.',
    },
  },
};

const SPEC = {
  type: 'object',
  required: ['size', 'version'],
  properties: {
    size: { type: 'integer', minimum: 1, maximum: MAX_SIZE, description: 'How many members vote.' },
    version: { type: 'string', minLength: 1, description: "The image's tag, as v3.6.4." },
    imageRegistry: {
      type: 'string',
      minLength: 1,
      default: DEFAULT_REGISTRY,
      description: 'The image without its tag.',
    },
    storageSpec: {
      type: 'object',
      required: ['volumeSizeRequest'],
      description: 'A volume for each member. Without, data goes with the pod.',
      properties: {
        accessModes: { type: 'string', enum: ['ReadWriteOnce', 'ReadWriteMany'], default: 'ReadWriteOnce' },
        storageClassName: { type: 'string' },
        volumeSizeRequest: QUANTITY,
        volumeSizeLimit: QUANTITY,
      },
      'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'storageSpec can not be changed' }],
    },
    tls: TLS,
    podTemplate: POD_TEMPLATE,
    etcdOptions: {
      type: 'array',
      maxItems: 64,
      items: { type: 'string', maxLength: 1024, pattern: '^--?[a-z]' },
      description: 'Flags for etcd, except those that the operator sets.',
    },
    volumeReclaimPolicy: {
      type: 'string',
      enum: ['Retain', 'Delete'],
      default: 'Retain',
      description: 'Whether volumes go with the cluster.',
    },
    paused: {
      type: 'boolean',
      default: false,
      description: 'Whether the operator leaves the cluster alone.',
    },
    maintenance: MAINTENANCE,
    backup: {
      type: 'object',
      required: ['store', 'encryption'],
      properties: {
        schedule: {
          type: 'string',
          minLength: 1,
          maxLength: 253,
          description: 'An interval as 6h, or a cron expression in UTC.',
        },
        maxAge: {
          type: 'string',
          pattern: '^([0-9]+[dhms])+$',
          description: 'How old the newest good backup may be.',
        },
        beforeUpgrade: {
          type: 'boolean',
          default: true,
          description: 'Whether another image is given to members only after a backup.',
        },
        final: {
          type: 'boolean',
          default: false,
          description: 'Whether a cluster that is deleted is backed up first.',
        },
        ...TEMPLATE,
      },
    },
    repair: {
      type: 'object',
      properties: {
        replaceSilentAfterSeconds: {
          type: 'integer',
          minimum: 300,
          description: 'A member that does not answer for so long is replaced, although its disk is there.',
        },
        restoreAfterQuorumLossSeconds: {
          type: 'integer',
          minimum: 300,
          description:
            'A cluster whose quorum has lost its disks is restored from the newest verified backup after so long.',
        },
      },
    },
  },
  'x-kubernetes-validations': [
    {
      rule: 'has(self.tls) == has(oldSelf.tls)',
      message: 'tls can not be added or taken away',
    },
    {
      rule: 'has(self.storageSpec) == has(oldSelf.storageSpec)',
      message: 'storageSpec can not be added or taken away',
    },
  ],
};

const STATUS = {
  type: 'object',
  properties: {
    observedGeneration: { type: 'integer', format: 'int64' },
    phase: { type: 'string' },
    currentReplicas: { type: 'integer' },
    readyReplicas: { type: 'integer' },
    memberCount: { type: 'integer' },
    currentVersion: { type: 'string' },
    leaderID: { type: 'string' },
    members: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          id: { type: 'string' },
          name: { type: 'string' },
          isHealthy: { type: 'boolean' },
          isLearner: { type: 'boolean' },
          isLeader: { type: 'boolean' },
        },
      },
    },
    certificates: {
      type: 'array',
      items: {
        type: 'object',
        properties: { role: { type: 'string' }, notAfter: { type: 'string', format: 'date-time' } },
      },
    },
    conditions: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
      items: {
        type: 'object',
        required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
        properties: {
          type: { type: 'string' },
          status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
          reason: { type: 'string' },
          message: { type: 'string' },
          lastTransitionTime: { type: 'string', format: 'date-time' },
          observedGeneration: { type: 'integer', format: 'int64' },
        },
      },
    },
  },
};

export const CLUSTER_DEFINITION = definitionOf({
  kind: 'EtcdCluster',
  shortNames: ['etcd'],
  columns: [
    { name: 'Size', type: 'integer', jsonPath: '.spec.size' },
    { name: 'Ready', type: 'integer', jsonPath: '.status.readyReplicas' },
    { name: 'Version', type: 'string', jsonPath: '.status.currentVersion' },
    { name: 'Phase', type: 'string', jsonPath: '.status.phase' },
  ],
  spec: SPEC,
  status: STATUS,
});
