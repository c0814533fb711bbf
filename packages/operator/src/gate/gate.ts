/** What stands before a member's start: a voter does not come back without what it has promised to the others. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export type Verdict =
  | { readonly opens: true; readonly why: string }
  | { readonly opens: false; readonly why: string };

/** @param mayStartEmpty whom the record allows to start on an empty disk; empty: nobody. */
export function judgeStart(dataDir: string, member: string, mayStartEmpty: string): Verdict {
  if (holdsMember(dataDir)) return { opens: true, why: `${dataDir} has a member's data` };
  if (mayStartEmpty === member) return { opens: true, why: `${member} is new, and may start empty` };
  const why = `${dataDir} is empty, and ${member} is no new member: the operator will replace it`;
  return { opens: false, why };
}

function holdsMember(dataDir: string): boolean {
  const member = join(dataDir, 'member');
  return existsSync(member) && readdirSync(member).length > 0;
}
