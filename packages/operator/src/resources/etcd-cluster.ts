/**
 * The resource `EtcdCluster`: what a user declares. Fields of the public group `operator.etcd.io/v1alpha1` have its names and
 * meanings; `repair` and `paused` are this operator's own.
 */

export const GROUP = 'operator.etcd.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

/** Above this a cluster gets slower, and not safer. */
export const MAX_SIZE = 7;
export const DEFAULT_REGISTRY = 'gcr.io/etcd-development/etcd';
const STORAGE_QUANTITY = /^\d+(?:\.\d+)?(?:[KMGTPE]i?)?$/;

export interface StorageSpec {
  readonly accessModes: 'ReadWriteOnce' | 'ReadWriteMany';
  readonly storageClassName: string | null;
  /** A quantity, as `1Gi`. */
  readonly volumeSizeRequest: string;
  readonly volumeSizeLimit: string;
}

export interface RepairPolicy {
  /** A member whose disk is gone is replaced by itself. One that is silent for so long although its disk is there, too; null: never. */
  readonly replaceSilentAfterSeconds: number | null;
}

export interface EtcdClusterSpec {
  readonly size: number;
  /** An image tag: `v3.5.21`. */
  readonly version: string;
  readonly imageRegistry: string;
  /** null: members lose their data with their pod. */
  readonly storage: StorageSpec | null;
  readonly etcdOptions: readonly string[];
  readonly paused: boolean;
  readonly repair: RepairPolicy;
  /** Whether the volumes go with the cluster. */
  readonly deletesVolumes: boolean;
}

/** A mistake in a declaration, by field. */
export interface SpecProblem {
  readonly field: string;
  readonly problem: string;
}

export type ParsedSpec =
  | { readonly ok: true; readonly spec: EtcdClusterSpec }
  | { readonly ok: false; readonly problems: readonly SpecProblem[] };

/** Options that the operator sets by itself: a user's value would take a member out of its cluster. */
const OWN_OPTIONS: readonly string[] = [
  'name',
  'data-dir',
  'listen-peer-urls',
  'listen-client-urls',
  'initial-advertise-peer-urls',
  'advertise-client-urls',
  'initial-cluster',
  'initial-cluster-state',
  'initial-cluster-token',
  'force-new-cluster',
];

/** Reads a declaration as the API server hands it out; everything wrong with it is told at once. */
export function parseClusterSpec(value: unknown): ParsedSpec {
  const reader = new FieldReader();
  const spec = reader.record(value, 'spec');
  const size = reader.integer(spec['size'], 'spec.size', 1, MAX_SIZE);
  const version = reader.text(spec['version'], 'spec.version', null);
  const imageRegistry = reader.text(spec['imageRegistry'], 'spec.imageRegistry', DEFAULT_REGISTRY);
  const storage = spec['storageSpec'] === undefined ? null : reader.storage(spec['storageSpec']);
  const etcdOptions = reader.options(spec['etcdOptions']);
  const paused = reader.flag(spec['paused'], 'spec.paused');
  const repair = reader.repair(spec['repair']);
  const deletesVolumes = reader.choice(
    spec['volumeReclaimPolicy'],
    'spec.volumeReclaimPolicy',
    'Retain',
    'Delete',
  );
  if (reader.problems.length > 0) return { ok: false, problems: reader.problems };
  return {
    ok: true,
    spec: { size, version, imageRegistry, storage, etcdOptions, paused, repair, deletesVolumes },
  };
}

/** The flag's name in `--name=value`, `--name` or `-name`. */
export function optionName(option: string): string {
  return option.replace(/^--?/, '').replace(/[= ].*$/s, '');
}

class FieldReader {
  readonly problems: SpecProblem[] = [];

  record(value: unknown, field: string): Readonly<Record<string, unknown>> {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Readonly<Record<string, unknown>>;
    }
    this.#note(field, 'must be an object');
    return {};
  }

  integer(value: unknown, field: string, least: number, most: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    this.#note(field, `must be an integer from ${least} to ${most}`);
    return least;
  }

  /** @param otherwise null: it must be there. */
  text(value: unknown, field: string, otherwise: string | null): string {
    if (typeof value === 'string' && value !== '') return value;
    if (value === undefined && otherwise !== null) return otherwise;
    this.#note(field, 'must be a text that is not empty');
    return '';
  }

  flag(value: unknown, field: string): boolean {
    if (value === undefined || typeof value === 'boolean') return value ?? false;
    this.#note(field, 'must be true or false');
    return false;
  }

  /** Whether the second of two words stands there; the first is meant where none does. */
  choice(value: unknown, field: string, first: string, second: string): boolean {
    if (value === undefined || value === first || value === second) return value === second;
    this.#note(field, `must be ${first} or ${second}`);
    return false;
  }

  storage(value: unknown): StorageSpec {
    const fields = this.record(value, 'spec.storageSpec');
    const modes = fields['accessModes'] ?? 'ReadWriteOnce';
    const isShared = this.choice(modes, 'spec.storageSpec.accessModes', 'ReadWriteOnce', 'ReadWriteMany');
    const storageClass = fields['storageClassName'];
    const volumeSizeRequest = this.#quantity(
      fields['volumeSizeRequest'],
      'spec.storageSpec.volumeSizeRequest',
      null,
    );
    return {
      accessModes: isShared ? 'ReadWriteMany' : 'ReadWriteOnce',
      storageClassName:
        storageClass === undefined
          ? null
          : this.text(storageClass, 'spec.storageSpec.storageClassName', null),
      volumeSizeRequest,
      volumeSizeLimit: this.#quantity(
        fields['volumeSizeLimit'],
        'spec.storageSpec.volumeSizeLimit',
        volumeSizeRequest,
      ),
    };
  }

  options(value: unknown): string[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.#note('spec.etcdOptions', 'must be a list of flags');
      return [];
    }
    const options: string[] = [];
    for (const [index, option] of value.entries()) {
      const field = `spec.etcdOptions[${index}]`;
      if (typeof option !== 'string' || !option.startsWith('-'))
        this.#note(field, 'must be a flag, as --name=value');
      else if (OWN_OPTIONS.includes(optionName(option))) this.#note(field, 'is set by the operator');
      else options.push(option);
    }
    return options;
  }

  repair(value: unknown): RepairPolicy {
    if (value === undefined) return { replaceSilentAfterSeconds: null };
    const fields = this.record(value, 'spec.repair');
    const after = fields['replaceSilentAfterSeconds'];
    if (after === undefined || after === null) return { replaceSilentAfterSeconds: null };
    const field = 'spec.repair.replaceSilentAfterSeconds';
    return { replaceSilentAfterSeconds: this.integer(after, field, MIN_SILENCE_SECONDS, 7 * 86_400) };
  }

  #quantity(value: unknown, field: string, otherwise: string | null): string {
    const text = this.text(value, field, otherwise);
    if (text !== '' && !STORAGE_QUANTITY.test(text)) this.#note(field, `${text} is no quantity, as 1Gi is`);
    return text;
  }

  #note(field: string, problem: string): void {
    this.problems.push({ field, problem });
  }
}

/** A member that restarts on a slow node is silent for a minute or two. */
const MIN_SILENCE_SECONDS = 300;
