/** The definition of a resource, for Kubernetes, with what all of this operator's have in common. */
import { GROUP, VERSION } from './group.ts';

export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
}

export interface DefinitionOptions {
  readonly kind: string;
  readonly shortNames: readonly string[];
  readonly columns: readonly Column[];
  readonly spec: object;
  readonly status: object;
}

export function definitionOf({ kind, shortNames, columns, spec, status }: DefinitionOptions): object {
  const singular = kind.toLowerCase();
  const plural = `${singular}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${GROUP}` },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            ...columns,
            { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
          ],
          schema: {
            openAPIV3Schema: { type: 'object', required: ['spec'], properties: { spec, status } },
          },
        },
      ],
    },
  };
}
