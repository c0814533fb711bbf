/** The flags that every command has. */
import type { FlagDefinition } from '@etcd/host/cli';

export const OUTPUT_FORMATS = ['fields', 'json', 'protobuf', 'simple', 'table'] as const;

export const GLOBAL_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'timeout',
    type: 'duration',
    default: '10s',
    usage: 'how long to wait for the lock of a database, 0 for as long as it takes',
  },
  {
    name: 'write-out',
    short: 'w',
    type: 'string',
    default: 'simple',
    usage: `how results are printed: ${OUTPUT_FORMATS.join(', ')}`,
    values: OUTPUT_FORMATS,
  },
];
