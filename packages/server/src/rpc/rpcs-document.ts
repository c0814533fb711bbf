/** `docs/rpcs.md`, written from the table of RPCs. Run this file to write it anew: `node packages/server/src/rpc/rpcs-document.ts`. */
import { writeFileSync } from 'node:fs';
import { markdownTable } from '../config/index.ts';
import type { AnyRpc } from './row.ts';
import { RPC_TABLE } from './table.ts';

export function rpcsDocument(): string {
  const services = [...new Set(RPC_TABLE.map(({ method }) => method.service))];
  return `# RPCs

<!-- Written by packages/server/src/rpc/rpcs-document.ts; change the table there. -->

Every method of etcd's gRPC services. What a caller needs counts once authentication is enabled; before, everybody may do everything. What
goes through the log carries the caller with it and is judged when it is applied, on every member alike; what is read is judged when it can be
read.

- _learner_: whether a member serves it that does not vote yet.
- _fenced_: whether a member serves it that knows its data to be wrong (see [integrity.md](integrity.md)).
- _JSON_: its path in the JSON gateway, by POST.

${services.map(serviceText).join('\n')}`;
}

function serviceText(service: string): string {
  const rpcs = RPC_TABLE.filter(({ method }) => method.service === service);
  const rows = rpcs.map((rpc) => [
    `\`${rpc.method.name}\``,
    rpc.method.kind,
    ...rulesOf(rpc),
    gatewayOf(rpc),
  ]);
  const table = markdownTable(['method', 'kind', 'needs', 'learner', 'fenced', 'JSON'], rows);
  return `## ${service}\n\n${table.join('\n')}\n`;
}

function rulesOf(rpc: AnyRpc): string[] {
  if (rpc.kind === 'not-served') return ['not served yet', '', ''];
  const { needs, onLearner, whenFenced } = rpc.row;
  return [
    typeof needs === 'string' ? NEEDS[needs] : `${needs.words} (${WHEN[needs.when]})`,
    typeof onLearner === 'string' ? YES_NO[onLearner] : onLearner.words,
    YES_NO[whenFenced],
  ];
}

const NEEDS = { nothing: 'nothing', user: 'any user', admin: 'an administrator' } as const;
const WHEN = {
  called: 'judged when it is called',
  message: 'judged for each message',
  read: 'judged when it is read',
  applied: 'judged when it is applied',
  steps: 'judged step by step',
} as const;
const YES_NO = { served: 'yes', refused: 'no' } as const;

function gatewayOf({ method }: AnyRpc): string {
  return method.gatewayPaths.map((path) => `\`${path}\``).join(', ');
}

if (import.meta.main) {
  writeFileSync(new URL('../../../../docs/rpcs.md', import.meta.url), rpcsDocument());
}
