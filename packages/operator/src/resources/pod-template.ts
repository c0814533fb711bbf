/** What users add to the pods of members: fields of the public `operator.etcd.io/v1alpha1`. Their shapes are Kubernetes' own, which checks them. */
import type { V1Affinity, V1ResourceRequirements, V1Toleration } from '@kubernetes/client-node';
import type { FieldReader } from './fields.ts';

export interface PodTemplate {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** null: the members of a cluster keep apart where they can. */
  readonly affinity: V1Affinity | null;
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly tolerations: readonly V1Toleration[];
  readonly priorityClassName: string | null;
  /** Of the container with etcd. null: little, without a limit. */
  readonly resources: V1ResourceRequirements | null;
}

/** @param value `spec.podTemplate` */
export function readPodTemplate(reader: FieldReader, value: unknown): PodTemplate {
  const template = reader.optionalRecord(value, 'spec.podTemplate') ?? {};
  const metadata = reader.optionalRecord(template['metadata'], 'spec.podTemplate.metadata') ?? {};
  const spec = reader.optionalRecord(template['spec'], 'spec.podTemplate.spec') ?? {};
  const field = 'spec.podTemplate.spec';
  const labels = reader.textMap(metadata['labels'], 'spec.podTemplate.metadata.labels');
  const annotations = reader.textMap(metadata['annotations'], 'spec.podTemplate.metadata.annotations');
  for (const key of [...Object.keys(labels), ...Object.keys(annotations)])
    if (/^(?:operator\.etcd\.io|app\.kubernetes\.io)\//.test(key))
      reader.note('spec.podTemplate.metadata', `${key} is set by the operator`);
  const tolerations = spec['tolerations'];
  if (tolerations !== undefined && !Array.isArray(tolerations))
    reader.note(`${field}.tolerations`, 'must be a list');
  return {
    labels,
    annotations,
    affinity: reader.optionalRecord(spec['affinity'], `${field}.affinity`),
    nodeSelector: reader.textMap(spec['nodeSelector'], `${field}.nodeSelector`),
    tolerations: Array.isArray(tolerations) ? tolerations : [],
    priorityClassName: reader.optionalText(spec['priorityClassName'], `${field}.priorityClassName`),
    resources: reader.optionalRecord(spec['resources'], `${field}.resources`),
  };
}
