/** How the lists of a Pod are merged: those that are named here by a key, all others are replaced as a whole. */

export interface FieldSchema {
  readonly fields?: Readonly<Record<string, FieldSchema>>;
  /** Of a list that is merged: the field that tells its maps apart; null for a list of scalars. */
  readonly mergeKey?: string | null;
}

const CONTAINER: FieldSchema = {
  mergeKey: 'name',
  fields: {
    env: { mergeKey: 'name' },
    ports: { mergeKey: 'containerPort' },
    volumeDevices: { mergeKey: 'devicePath' },
    volumeMounts: { mergeKey: 'mountPath' },
  },
};

export const POD: FieldSchema = {
  fields: {
    metadata: { fields: { finalizers: { mergeKey: null }, ownerReferences: { mergeKey: 'uid' } } },
    spec: {
      fields: {
        containers: CONTAINER,
        ephemeralContainers: CONTAINER,
        hostAliases: { mergeKey: 'ip' },
        imagePullSecrets: { mergeKey: 'name' },
        initContainers: CONTAINER,
        resourceClaims: { mergeKey: 'name' },
        schedulingGates: { mergeKey: 'name' },
        topologySpreadConstraints: { mergeKey: 'topologyKey' },
        volumes: { mergeKey: 'name' },
      },
    },
  },
};
